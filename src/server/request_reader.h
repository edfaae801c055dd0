// HTTP/1.x requests from bytes, however they were cut into pieces. Knows the limits, no sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

namespace atelier::server {

// Why a request cannot be read on; the connection is of no use afterwards.
struct ReadFailure {
  unsigned status = 400;
  std::string message;  // names the limit or what was expected, and what was found
};

class RequestReader {
 public:
  enum class State { kHeader, kBody, kComplete, kFailed };

  RequestReader();
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;

  // Takes bytes from the front and returns how many. Stops after the header, so that a request can be refused
  // before its body is read, and after the body: what follows belongs to the next request. Taking nothing in
  // state kHeader or kBody means that more bytes are needed first, those not taken included.
  size_t feed(std::string_view bytes);

  State state() const { return state_; }
  bool begun() const { return begun_; }  // a first byte has come
  // Everything but the body from kBody on, the body in kComplete.
  const HttpRequest& request() const { return request_; }
  HttpRequest& request() { return request_; }
  size_t body_bytes() const;  // that have been read so far
  std::optional<uint64_t> content_length() const { return content_length_; }
  bool http_1_0() const { return http_1_0_; }
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  const ReadFailure& failure() const { return failure_; }

 private:
  struct Parser;
  void fail_with(unsigned status, std::string message);
  void read_head();
  bool read_target(std::string_view target);
  bool check_framing();

  std::unique_ptr<Parser> parser_;
  State state_ = State::kHeader;
  HttpRequest request_;
  ReadFailure failure_;
  size_t header_bytes_ = 0;
  std::optional<uint64_t> content_length_;
  bool begun_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

}  // namespace atelier::server
