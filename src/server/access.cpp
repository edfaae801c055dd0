#include "server/access.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

namespace atelier::server {
namespace {

std::array<uint8_t, 32> digest_of(std::string_view text) {
  std::array<uint8_t, 32> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return digest;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> buffer{};
  return inet_pton(AF_INET, host.c_str(), buffer.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), buffer.data()) == 1;
}

bool is_json_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  if (equal_ignoring_case(type, "application/json")) return true;
  constexpr std::string_view kPrefix = "application/", kSuffix = "+json";
  return type.size() > kPrefix.size() + kSuffix.size() &&
         equal_ignoring_case(type.substr(0, kPrefix.size()), kPrefix) &&
         equal_ignoring_case(type.substr(type.size() - kSuffix.size()), kSuffix);
}

bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && request.header("origin") &&
         request.header("access-control-request-method");
}

// A page that this server sent: its origin is a scheme and the very Host the request names.
bool same_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && equal_ignoring_case(origin.substr(scheme + 3), host);
}

}  // namespace

std::string host_name(std::string_view host) {
  if (host.starts_with('[') && host.find(']') != std::string_view::npos) {
    host = host.substr(1, host.find(']') - 1);
  } else if (std::ranges::count(host, ':') == 1) {
    host = host.substr(0, host.find(':'));
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string out(host);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

Access::Access(const AccessOptions& options) : options_(options) {
  for (const std::string& key : options.api_keys) key_digests_.push_back(digest_of(key));
  for (std::string& key : options_.api_keys) OPENSSL_cleanse(key.data(), key.size());
  options_.api_keys.clear();
}

bool Access::host_allowed(std::string_view host) const {
  const std::string name = host_name(host);
  return options_.any_host || name == "localhost" || name.ends_with(".localhost") || is_address(name) ||
         std::ranges::any_of(options_.hosts, [&](const std::string& own) { return host_name(own) == name; });
}

const std::string* Access::configured_origin(std::string_view origin) const {
  for (const std::string& configured : options_.cors_origins)
    if (configured == "*" || equal_ignoring_case(configured, origin)) return &configured;
  return nullptr;
}

// Every key is compared in full, so that time tells nothing about which one almost matched.
bool Access::key_matches(const HttpRequest& request) const {
  std::string_view given;
  if (const auto authorization = request.header("authorization")) {
    constexpr std::string_view kScheme = "bearer ";
    if (equal_ignoring_case(authorization->substr(0, kScheme.size()), kScheme))
      given = authorization->substr(kScheme.size());
  } else if (const auto key = request.header("x-api-key")) {
    given = *key;
  }
  const Digest digest = digest_of(given);
  int matches = 0;
  for (const Digest& own : key_digests_)
    matches |= CRYPTO_memcmp(own.data(), digest.data(), digest.size()) == 0 ? 1 : 0;
  return matches != 0;
}

std::optional<Failure> Access::refuse(const HttpRequest& request, bool is_public, bool has_body) const {
  const std::string_view host = request.header("host").value_or("");
  if (!host_allowed(host) && !(host.empty() && !request.header("origin")))
    return Failure{
        .status = 403,
        .message = "host: expected localhost, an address or a name given with --allow-host, found \"" +
                   host_name(host) + "\"",
        .code = "host_not_allowed"};
  const auto origin = request.header("origin");
  if (origin && !same_origin(*origin, host) && configured_origin(*origin) == nullptr)
    return Failure{.status = 403,
                   .message = "origin: expected this server's own or one given with --cors-origin, found \"" +
                              std::string(*origin) + "\"",
                   .code = "origin_not_allowed"};
  if (is_preflight(request)) return std::nullopt;
  if (!is_public && !key_digests_.empty() && !key_matches(request))
    return Failure{
        .status = 401,
        .message = "API key: expected a valid one in Authorization: Bearer or x-api-key, found none",
        .code = "invalid_api_key"};
  if (has_body && !is_json_type(request.header("content-type").value_or("")))
    return Failure{.status = 415,
                   .message = "content-type: expected application/json, found \"" +
                              std::string(request.header("content-type").value_or("")) + "\"",
                   .code = "unsupported_media_type"};
  return std::nullopt;
}

HttpResponse Access::preflight(const HttpRequest& request) const {
  HttpResponse response{.status = 204, .content_type = {}, .headers = cors_headers(request)};
  response.headers.push_back({"access-control-allow-methods", "GET, POST, DELETE"});
  response.headers.push_back(
      {"access-control-allow-headers",
       "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, "
       "anthropic-dangerous-direct-browser-access, openai-organization, openai-project, "
       "x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, "
       "x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, "
       "x-stainless-timeout, x-stainless-helper-method"});
  response.headers.push_back({"access-control-max-age", "600"});
  return response;
}

std::vector<HttpHeader> Access::cors_headers(const HttpRequest& request) const {
  const auto origin = request.header("origin");
  const std::string* configured = origin ? configured_origin(*origin) : nullptr;
  if (configured == nullptr) return {};
  std::vector<HttpHeader> headers = {{"access-control-allow-origin", *configured},
                                     {"access-control-expose-headers", "x-request-id, retry-after"}};
  if (*configured != "*") headers.push_back({"vary", "origin"});
  return headers;
}

}  // namespace atelier::server
