#include "server/access.h"

#include <gtest/gtest.h>

namespace atelier::server {
namespace {

HttpRequest request(std::string method, std::vector<HttpHeader> headers) {
  return {.method = std::move(method), .path = "/v1/chat/completions", .headers = std::move(headers)};
}
HttpRequest post_from(std::string host, std::string origin = {}) {
  HttpRequest out = request("POST", {{"host", std::move(host)}, {"content-type", "application/json"}});
  if (!origin.empty()) out.headers.push_back({"origin", std::move(origin)});
  return out;
}
unsigned status(const Access& access, const HttpRequest& request, bool is_public = false) {
  const auto refused = access.refuse(request, is_public, true);
  return refused ? refused->status : 200;
}

TEST(Access, HostMustBeOurs) {
  const Access access({.hosts = {"box.lan"}});
  for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "a.localhost",
                           "box.lan", "box.lan.:80", "192.168.1.7"})
    EXPECT_EQ(status(access, post_from(host)), 200u) << host;
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example",
                           "127.0.0.1.evil.example", "box.lan.evil", "[::1", "::1.evil", "127.1:80"})
    EXPECT_EQ(status(access, post_from(host)), 403u) << host;
  EXPECT_EQ(status(Access({.any_host = true}), post_from("evil.example")), 200u);
}

TEST(Access, OriginsOfOthersAreRefusedAndNeverReflected) {
  const Access closed({});
  EXPECT_EQ(status(closed, post_from("localhost:8080", "http://localhost:8080")), 200u);
  for (const char* origin : {"http://evil.example", "null", "http://localhost:3000",
                             "http://localhost:8080.evil.example", "file://", "https://localhost:80"})
    EXPECT_EQ(status(closed, post_from("localhost:8080", origin)), 403u) << origin;
  EXPECT_TRUE(closed.cors_headers(post_from("localhost:8080", "http://localhost:8080")).empty());

  const Access open({.cors_origins = {"https://app.example"}});
  EXPECT_EQ(status(open, post_from("localhost", "https://app.example")), 200u);
  EXPECT_EQ(status(open, post_from("localhost", "https://app.example.evil")), 403u);
  const auto headers = open.cors_headers(post_from("localhost", "https://APP.example"));
  ASSERT_FALSE(headers.empty());
  EXPECT_EQ(headers[0].name, "access-control-allow-origin");
  EXPECT_EQ(headers[0].value, "https://app.example");  // as configured, not as sent
  EXPECT_TRUE(open.cors_headers(post_from("localhost")).empty());
}

TEST(Access, KeysGuardAllButPublicRoutes) {
  const Access access({.api_keys = {"first", "second"}});
  HttpRequest asking = post_from("localhost");
  EXPECT_EQ(status(access, asking), 401u);
  EXPECT_EQ(status(access, asking, /*is_public=*/true), 200u);
  for (const char* value : {"Bearer first", "bearer second"}) {
    asking.headers = post_from("localhost").headers;
    asking.headers.push_back({"authorization", value});
    EXPECT_EQ(status(access, asking), 200u) << value;
  }
  for (const char* value :
       {"Bearer ", "Bearer firs", "Bearer first ", "Basic first", "first", "Bearer third"}) {
    asking.headers = post_from("localhost").headers;
    asking.headers.push_back({"authorization", value});
    EXPECT_EQ(status(access, asking), 401u) << value;
  }
  asking.headers = post_from("localhost").headers;
  asking.headers.push_back({"x-api-key", "second"});
  EXPECT_EQ(status(access, asking), 200u);
}

TEST(Access, BodiesMustBeJson) {
  const Access access({});
  const auto with_type = [](std::string type) {
    return request("POST", {{"host", "localhost"}, {"content-type", std::move(type)}});
  };
  for (const char* type : {"application/json", "Application/JSON; charset=utf-8", "application/problem+json"})
    EXPECT_EQ(status(access, with_type(type)), 200u) << type;
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                           "+json", "text/json", "application/jsonp"})
    EXPECT_EQ(status(access, with_type(type)), 415u) << type;
}

TEST(Access, PreflightsNeedAConfiguredOriginAndNoKey) {
  HttpRequest preflight = request(
      "OPTIONS",
      {{"host", "localhost"}, {"origin", "https://app.example"}, {"access-control-request-method", "POST"}});
  EXPECT_EQ(status(Access({.api_keys = {"k"}}), preflight), 403u);
  const Access open({.api_keys = {"k"}, .cors_origins = {"https://app.example"}});
  EXPECT_EQ(status(open, preflight), 200u);
  EXPECT_EQ(open.preflight(preflight).status, 204u);
}

}  // namespace
}  // namespace atelier::server
