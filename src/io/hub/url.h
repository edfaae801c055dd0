// URLs, parsed by the library that will use them: no second opinion on where a token may go.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

struct UrlOrigin {
  std::string scheme, host, port;  // lower case; the port is always there
  // Whether what is sent there stays on this machine or is encrypted.
  bool is_private() const;
  bool operator==(const UrlOrigin&) const = default;
};
// Errors: kInvalidArgument for what is not an http(s) URL or carries a user name.
Result<UrlOrigin> url_origin(std::string_view url);
// What `reference` means on the page `base`. Errors as above.
Result<std::string> url_join(std::string_view base, std::string_view reference);

// The host (and port, if named), for messages: URLs themselves may carry signatures.
std::string url_host(std::string_view url);
// Everything but letters, digits and "-._~/" as %XX.
std::string url_escape_path(std::string_view path);
// The last segment of the path, unescaped. Whether it may be a file name is the caller's question.
std::string url_file_name(std::string_view url);

}  // namespace atelier
