// Which handler answers which method and path.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/answer.h"
#include "server/failure.h"
#include "server/http.h"

namespace atelier::server {

using PathParameters = std::map<std::string, std::string, std::less<>>;

// Runs on a worker thread; may block on parsing, not on waiting for tokens.
using Handler = std::function<std::unique_ptr<Answer>(HttpRequest request, const PathParameters& path)>;

struct Route {
  std::string method;   // GET also answers HEAD
  std::string pattern;  // "/v1/models/{model...}": a name takes one segment, with dots the rest of the path
  Handler handler;
  ErrorStyle style = ErrorStyle::kOpenAi;
  bool is_public = false;  // answered without an API key
};

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  const std::vector<Route>& routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;  // null: see `allowed`
    PathParameters parameters{};
    std::string allowed{};  // "GET, POST": the path exists, the method does not; empty: no such path
    ErrorStyle style = ErrorStyle::kOpenAi;
  };
  // Routes that were added earlier win.
  Match find(std::string_view method, std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

// The error style of a path that no route matches: by the family its first segments belong to.
ErrorStyle style_of_path(std::string_view path);

}  // namespace atelier::server
