// Who may ask: API keys, and what keeps web pages of others from asking in a user's name.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/failure.h"
#include "server/http.h"

namespace atelier::server {

struct AccessOptions {
  std::vector<std::string> api_keys{};      // none: everybody who can connect may ask
  std::vector<std::string> cors_origins{};  // "https://app.example", or "*"
  std::vector<std::string> hosts{};         // names the server is reached by, beside localhost and addresses
  bool any_host = false;                    // a Host header proves nothing here: Unix sockets
};

class Access {
 public:
  explicit Access(const AccessOptions& options);

  // Looks at the header alone, before any body is read. In order: Host (403: another name that leads here is
  // a rebinding attack), Origin (403 unless it is this server or a configured one), API key (401) unless the
  // route is public or the request a preflight, type of the body (415: only JSON, which pages of others
  // cannot send without a preflight).
  std::optional<Failure> refuse(const HttpRequest& request, bool is_public, bool has_body) const;

  // The answer to a CORS preflight that refuse() let through.
  HttpResponse preflight(const HttpRequest& request) const;
  // What an answer must say to be read by the page that asked, if that page's origin is configured.
  std::vector<HttpHeader> cors_headers(const HttpRequest& request) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  bool host_allowed(std::string_view host) const;
  const std::string* configured_origin(std::string_view origin) const;
  bool key_matches(const HttpRequest& request) const;

  AccessOptions options_;  // without the keys
  std::vector<Digest> key_digests_;
};

// "host", "host:port", "[::1]:port" without the port and the brackets, lower case.
std::string host_name(std::string_view host);

}  // namespace atelier::server
