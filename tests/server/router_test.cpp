#include "server/router.h"

#include <gtest/gtest.h>

namespace atelier::server {
namespace {

Router sample() {
  Router router;
  const Handler none;
  router.add({"GET", "/v1/models", none});
  router.add({"GET", "/v1/models/{model...}", none});
  router.add({"POST", "/v1/responses", none});
  router.add({"GET", "/v1/responses/{id}", none});
  router.add({"DELETE", "/v1/responses/{id}", none});
  router.add({"GET", "/v1/responses/{id}/input_items", none});
  router.add({"GET", "/", none});
  return router;
}

std::string pattern(const Router& router, std::string_view method, std::string_view path) {
  const auto match = router.find(method, path);
  return match.route ? match.route->pattern : "";
}

TEST(Router, FindsRoutesAndParameters) {
  const Router router = sample();
  EXPECT_EQ(pattern(router, "GET", "/"), "/");
  EXPECT_EQ(pattern(router, "GET", "/v1/models"), "/v1/models");
  EXPECT_EQ(pattern(router, "HEAD", "/v1/models"), "/v1/models");
  EXPECT_EQ(router.find("GET", "/v1/models/org/name").parameters.at("model"), "org/name");
  EXPECT_EQ(router.find("GET", "/v1/responses/resp_1").parameters.at("id"), "resp_1");
  EXPECT_EQ(pattern(router, "GET", "/v1/responses/a/input_items"), "/v1/responses/{id}/input_items");
  for (const char* path : {"", "v1/models", "/v1", "/v1/", "/v1/models/", "/v1/responses/",
                           "/v1/responses/a/b", "//v1/models", "/v1/models?x"})
    EXPECT_EQ(pattern(router, "GET", path), "") << path;
}

TEST(Router, SaysWhichMethodsAPathHas) {
  const Router router = sample();
  EXPECT_EQ(router.find("POST", "/v1/responses/a").allowed, "GET, DELETE");
  EXPECT_EQ(router.find("PATCH", "/v1/responses").allowed, "POST");
  EXPECT_EQ(router.find("GET", "/nowhere").allowed, "");
}

TEST(Router, UnknownPathsFailInTheStyleOfTheirFamily) {
  const Router router = sample();
  EXPECT_EQ(router.find("GET", "/api/nothing").style, ErrorStyle::kOllama);
  EXPECT_EQ(router.find("GET", "/v1/messages/batches").style, ErrorStyle::kAnthropic);
  EXPECT_EQ(router.find("GET", "/v1/nothing").style, ErrorStyle::kOpenAi);
}

}  // namespace
}  // namespace atelier::server
