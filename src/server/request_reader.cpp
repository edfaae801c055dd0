#include "server/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "server/limits.h"

namespace atelier::server {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string body_limit_message(std::optional<uint64_t> length) {
  return length ? fmt::format("request body: expected at most {} bytes, found {}", kMaxBodyBytes, *length)
                : fmt::format("request body: expected at most {} bytes, found more", kMaxBodyBytes);
}

}  // namespace

struct RequestReader::Parser {
  beast_http::request_parser<beast_http::string_body> http;

  Parser() {
    http.header_limit(static_cast<uint32_t>(kMaxHeaderBytes));
    http.body_limit(kMaxBodyBytes);
    http.eager(false);  // so that it stops after the header
  }
};

RequestReader::RequestReader() : parser_(std::make_unique<Parser>()) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

size_t RequestReader::body_bytes() const { return parser_->http.get().body().size(); }

void RequestReader::fail_with(unsigned status, std::string message) {
  state_ = State::kFailed;
  failure_ = {status, std::move(message)};
}

size_t RequestReader::feed(std::string_view bytes) {
  size_t taken = 0;
  while (state_ == State::kHeader || state_ == State::kBody) {
    if (taken == bytes.size()) break;
    begun_ = true;
    const std::string_view rest = bytes.substr(taken);
    error_code error;
    const size_t n = parser_->http.put(boost::asio::buffer(rest.data(), rest.size()), error);
    taken += n;
    if (state_ == State::kHeader) header_bytes_ += n;
    // The parser takes whole lines only and its own limit is that of one line. A header of many lines, a
    // chunk's extension or a trailer that never ends must not be collected forever either.
    const size_t waiting = error == beast_http::error::need_more ? rest.size() - n : 0;
    if (error == beast_http::error::header_limit || header_bytes_ > kMaxHeaderBytes ||
        waiting >= kMaxHeaderBytes) {
      fail_with(431, fmt::format("request header: expected at most {} bytes, found more", kMaxHeaderBytes));
    } else if (error == beast_http::error::need_more) {
      break;
    } else if (error == beast_http::error::body_limit) {
      fail_with(413, body_limit_message(std::nullopt));
    } else if (error == beast_http::error::bad_version) {
      fail_with(505, "request line: expected HTTP/1.1 or HTTP/1.0, found another version");
    } else if (error) {
      fail_with(400, fmt::format("request: expected well-formed HTTP/1.1, found: {}", error.message()));
    } else if (state_ == State::kHeader && parser_->http.is_header_done()) {
      read_head();
      break;
    } else if (state_ == State::kBody && parser_->http.is_done()) {
      request_.body = std::move(parser_->http.get().body());
      state_ = State::kComplete;
    }
  }
  return taken;
}

void RequestReader::read_head() {
  const auto& head = parser_->http.get().base();
  http_1_0_ = head.version() == 10;
  keep_alive_ = parser_->http.keep_alive();
  request_.method = std::string(view(head.method_string()));
  for (const auto& field : head)
    request_.headers.push_back({lower_case(view(field.name_string())), std::string(view(field.value()))});
  if (const auto length = parser_->http.content_length()) content_length_ = *length;
  if (!read_target(view(head.target())) || !check_framing()) return;
  if (content_length_ && *content_length_ > kMaxBodyBytes)
    return fail_with(413, body_limit_message(content_length_));
  state_ = parser_->http.is_done() ? State::kComplete : State::kBody;
}

// Origin form "/path?query", or absolute form "http://host/path?query" as proxies send it.
bool RequestReader::read_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(std::min(target.find('/', scheme.size()), target.size()));
    if (target.empty()) target = "/";
  }
  target = target.substr(0, target.find('#'));
  const size_t question = target.find('?');
  if (question != std::string_view::npos) request_.query = target.substr(question + 1);
  const auto path = percent_decoded(target.substr(0, question));
  const bool server_wide = path && *path == "*" && request_.method == "OPTIONS";
  if (!path || (!path->starts_with('/') && !server_wide)) {
    fail_with(400, "request target: expected a path of UTF-8 that begins with '/', found something else");
    return false;
  }
  request_.path = *path;
  return true;
}

bool RequestReader::check_framing() {
  // What lies between us and the client must not see another request than we do.
  if (const auto encoding = request_.header("transfer-encoding")) {
    if (!equal_ignoring_case(*encoding, "chunked") || request_.count("transfer-encoding") > 1)
      fail_with(501, "transfer-encoding: expected chunked, found another coding");
    else if (http_1_0_)
      fail_with(400, "transfer-encoding: expected none in HTTP/1.0, found chunked");
  }
  if (request_.count("host") > 1)
    fail_with(400, "host: expected one header, found several");
  else if (!http_1_0_ && request_.count("host") == 0)
    fail_with(400, "host: expected a header in HTTP/1.1, found none");
  if (const auto coding = request_.header("content-encoding"); coding && *coding != "identity")
    fail_with(415, "content-encoding: expected none, found a compressed body");
  if (const auto expect = request_.header("expect")) {
    expects_continue_ = equal_ignoring_case(*expect, "100-continue");
    if (!expects_continue_) fail_with(417, "expect: expected 100-continue, found something else");
  }
  return state_ != State::kFailed;
}

}  // namespace atelier::server
