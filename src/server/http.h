// Requests and responses as the endpoints see them: no sockets, no framing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::server {

struct HttpHeader {
  std::string name;  // lower case
  std::string value;
};

struct HttpRequest {
  std::string method{};
  std::string path{};   // percent-decoded, begins with '/'
  std::string query{};  // as sent, without '?'
  std::vector<HttpHeader> headers{};
  std::string body{};
  std::string id{};      // of the request, in the log and in the answer's x-request-id
  std::string client{};  // whose turn it takes in queues: its address

  // The value of the first header of that name (lower case).
  std::optional<std::string_view> header(std::string_view name) const;
  size_t count(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers{};  // beside content type, length and connection
  std::string body{};
};

// "Too Many Requests" for 429; "Unknown" for what we never send.
std::string_view status_text(unsigned status);

// Undoes %41; nullopt for a broken escape, for %00 and for what is no UTF-8 afterwards.
std::optional<std::string> percent_decoded(std::string_view text);

// The value of `key` in "a=1&b=2", decoded; nullopt if absent or broken.
std::optional<std::string> query_value(std::string_view query, std::string_view key);

// Whether two header values or names are equal but for ASCII case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace atelier::server
