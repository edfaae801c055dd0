// /: the chat page, and /openapi.json: the description of all routes. Files of the program, not of the disk.
#include "server/app.h"
#include "server/assets.h"

namespace atelier::server {
namespace {

// The page loads its own files and talks to its own server; nothing else, wherever a model's text points.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "application/json";
}

std::unique_ptr<Answer> file_answer(std::string_view name) {
  const std::string_view content = asset(name);
  if (content.empty())
    return ready(failure_response(
        ErrorStyle::kOpenAi,
        {.status = 404,
         .message = fmt::format("page: expected a file of it, found \"{}\"", name.substr(0, 100))}));
  return ready(HttpResponse{.content_type = std::string(type_of(name)),
                            .headers = {{"content-security-policy", kPolicy},
                                        {"referrer-policy", "no-referrer"},
                                        {"cache-control", "no-cache"}},
                            .body = std::string(content)});
}

}  // namespace

void add_page(Router& router) {
  const auto add = [&](const char* pattern, Handler handler) {
    router.add({.method = "GET", .pattern = pattern, .handler = std::move(handler), .is_public = true});
  };
  add("/", [](HttpRequest, const PathParameters&) { return file_answer("index.html"); });
  add("/page/{file}", [](HttpRequest, const PathParameters& path) { return file_answer(path.at("file")); });
  add("/openapi.json", [](HttpRequest, const PathParameters&) { return file_answer("openapi.json"); });
}

}  // namespace atelier::server
