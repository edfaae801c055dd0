#include "io/hub/url.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "io/hub/curl_api.h"

namespace atelier {
namespace {

// A URL of libcurl's, freed through the functions it was made with.
class ParsedUrl {
 public:
  static Result<ParsedUrl> parse(std::string_view url) {
    ATELIER_TRY(const CurlApi* api, curl_api());
    ParsedUrl parsed(api);
    ATELIER_CHECK_OK(parsed.set(url));
    return parsed;
  }
  ParsedUrl(ParsedUrl&& other) noexcept : api_(other.api_), url_(std::exchange(other.url_, nullptr)) {}
  ParsedUrl& operator=(ParsedUrl&&) = delete;
  ~ParsedUrl() { api_->url_cleanup(url_); }

  // Also takes what is relative to what stands here already.
  Status set(std::string_view url) {
    if (api_->url_set(url_, CURLUPART_URL, std::string(url).c_str(), 0) != CURLUE_OK ||
        url.find('\0') != std::string_view::npos)
      return fail(ErrorCode::kInvalidArgument, "expected a URL, found one that does not parse");
    const std::string scheme = get(CURLUPART_SCHEME);
    if (scheme != "http" && scheme != "https")
      return fail(ErrorCode::kInvalidArgument, "expected an http or https URL, found {}", scheme);
    if (!get(CURLUPART_USER).empty())
      return fail(ErrorCode::kInvalidArgument, "expected a URL without a user name");
    return {};
  }
  std::string get(CURLUPart part, unsigned int flags = 0) const {
    char* text = nullptr;
    if (api_->url_get(url_, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
    std::string copy(text);
    api_->free(text);
    return copy;
  }

 private:
  explicit ParsedUrl(const CurlApi* api) : api_(api), url_(api->url()) {}
  const CurlApi* api_;
  CURLU* url_;
};

std::string to_lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

}  // namespace

bool UrlOrigin::is_private() const {
  const bool loopback =
      host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
  return scheme == "https" || host == "localhost" || loopback || host == "[::1]";
}

Result<UrlOrigin> url_origin(std::string_view url) {
  ATELIER_TRY(const ParsedUrl parsed, ParsedUrl::parse(url));
  return UrlOrigin{to_lower(parsed.get(CURLUPART_SCHEME)), to_lower(parsed.get(CURLUPART_HOST)),
                   parsed.get(CURLUPART_PORT, CURLU_DEFAULT_PORT)};
}

Result<std::string> url_join(std::string_view base, std::string_view reference) {
  ATELIER_TRY(ParsedUrl parsed, ParsedUrl::parse(base));
  ATELIER_CHECK_OK(parsed.set(reference));
  return parsed.get(CURLUPART_URL);
}

std::string url_host(std::string_view url) {
  const size_t scheme = url.find("://");
  const size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  return std::string(authority.substr(authority.rfind('@') + 1));
}

std::string url_escape_path(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    if (is_unreserved(c) || c == '/')
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

std::string url_file_name(std::string_view url) {
  const std::string_view path = url.substr(0, url.find_first_of("?#"));
  const std::string_view segment = path.substr(path.rfind('/') + 1);
  std::string name;
  for (size_t i = 0; i < segment.size(); ++i) {
    unsigned int code = 0;
    const char* digits = segment.data() + i + 1;
    if (segment[i] == '%' && i + 2 < segment.size() &&
        std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
      name += static_cast<char>(code);
      i += 2;
    } else {
      name += segment[i];
    }
  }
  return name;
}

}  // namespace atelier
