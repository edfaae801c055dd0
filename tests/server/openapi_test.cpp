// The description lists the routes there are, and no others.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "server/app.h"
#include "server/assets.h"

namespace atelier::server {
namespace {

using Operation = std::pair<std::string, std::string>;  // "POST /v1/responses", whether anybody may ask

std::set<Operation> described(const nlohmann::json& document) {
  std::set<Operation> out;
  for (const auto& [path, methods] : document.at("paths").items())
    for (const auto& [method, operation] : methods.items()) {
      std::string name = method + " " + path;
      for (char& c : name)
        if (&c < name.data() + method.size()) c = static_cast<char>(std::toupper(c));
      const bool is_public = operation.contains("security") && operation.at("security").empty();
      out.emplace(name, is_public ? "public" : "private");
    }
  return out;
}

std::set<Operation> routed(const Router& router) {
  std::set<Operation> out;
  for (const Route& route : router.routes()) {
    std::string pattern = route.pattern;
    if (const size_t dots = pattern.find("...}"); dots != std::string::npos) pattern.erase(dots, 3);
    out.emplace(route.method + " " + pattern, route.is_public ? "public" : "private");
  }
  return out;
}

App empty_app() {
  return App({.entries = [] { return std::vector<CatalogueEntry>(); },
              .default_id = [] { return std::string(); },
              .load = [](const std::string&) -> Result<std::unique_ptr<Engine>> {
                return fail(ErrorCode::kNotFound, "no models here");
              }},
             "test");
}

TEST(OpenApi, ListsEveryRouteAndNothingElse) {
  App app = empty_app();
  EXPECT_EQ(described(nlohmann::json::parse(asset("openapi.json"))), routed(make_router(app)));
}

TEST(OpenApi, OnlyWhatShowsNothingIsPublic) {
  App app = empty_app();
  std::set<std::string> open;
  const Router router = make_router(app);
  for (const Route& route : router.routes())
    if (route.is_public) open.insert(route.pattern);
  EXPECT_EQ(open, (std::set<std::string>{"/", "/health", "/openapi.json", "/page/{file}", "/ready"}));
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const auto document = nlohmann::json::parse(asset("openapi.json"));
  const auto flat = document.flatten();
  size_t n_references = 0;
  for (const auto& [key, value] : flat.items()) {
    if (!key.ends_with("/$ref")) continue;
    ++n_references;
    EXPECT_TRUE(document.contains(nlohmann::json::json_pointer(value.get<std::string>().substr(1)))) << value;
  }
  EXPECT_GT(n_references, 50u);
}

TEST(Page, EveryFileItNamesIsThere) {
  for (const char* name : {"index.html", "style.css", "app.js", "markdown.js", "highlight.js"})
    EXPECT_FALSE(asset(name).empty()) << name;
  EXPECT_TRUE(asset("../assets.h").empty());
}

}  // namespace
}  // namespace atelier::server
