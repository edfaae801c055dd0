#include "server/router.h"

#include <algorithm>
#include <optional>

namespace atelier::server {
namespace {

std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);  // '/'
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

std::optional<PathParameters> match(std::string_view pattern, std::string_view path) {
  PathParameters parameters;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view rest = path.substr(1);
    const std::string_view wanted = next_segment(pattern);
    const std::string_view found = next_segment(path);
    if (wanted.starts_with('{') && wanted.ends_with("...}")) {
      if (rest.empty()) return std::nullopt;
      parameters.emplace(wanted.substr(1, wanted.size() - 5), rest);
      return parameters;
    }
    if (wanted.starts_with('{')) {
      if (found.empty()) return std::nullopt;
      parameters.emplace(wanted.substr(1, wanted.size() - 2), found);
    } else if (wanted != found) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return parameters;
}

}  // namespace

Router::Match Router::find(std::string_view method, std::string_view path) const {
  Match out{.style = style_of_path(path)};
  if (!path.starts_with('/')) return out;
  for (const Route& route : routes_) {
    auto parameters = match(route.pattern, path);
    if (!parameters) continue;
    out.style = route.style;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) {
      out.route = &route;
      out.parameters = std::move(*parameters);
      out.allowed.clear();
      return out;
    }
    out.allowed += (out.allowed.empty() ? "" : ", ") + route.method;
  }
  return out;
}

ErrorStyle style_of_path(std::string_view path) {
  if (path.starts_with("/v1/messages")) return ErrorStyle::kAnthropic;
  if (path.starts_with("/api/")) return ErrorStyle::kOllama;
  return ErrorStyle::kOpenAi;
}

}  // namespace atelier::server
