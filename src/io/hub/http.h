// HTTP(S) for `pull` and for remote models: several transfers at once, all on the calling thread, and nothing
// of a server's answer believed that was not checked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

struct HttpOptions {
  std::chrono::seconds stall = std::chrono::seconds(30);    // a transfer that receives nothing so long failed
  std::chrono::seconds connect = std::chrono::seconds(30);  // and a connection that is not made by then
  // Slower than this counts as nothing; a model that thinks sends a few bytes a second.
  long least_bytes_per_second = 1024;
  // Sent as a bearer token, but only to the origin (scheme, host, port) of `token_url`, also after redirects,
  // and only over TLS or to this machine.
  std::string token;
  std::string token_url;
};

// Bytes first to last, both included.
struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t bytes() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

struct HttpRequest {
  std::string url;  // http or https; where it redirects to is followed, at most 10 times, https never to http
  bool head = false;
  std::optional<ByteRange> range{};
  std::optional<std::string> json{};  // posted; redirects are not followed then
};

// An answer up to its body: of the last of a row of redirects.
struct HttpHead {
  int status = 0;
  std::string url;  // that answered
  // Names in lower case. What earlier answers of the row said in headers "x-…" and the last did not is there
  // too: hubs describe the file where they redirect to it.
  std::map<std::string, std::string, std::less<>> headers;

  std::string_view header(std::string_view name) const;  // empty where absent
  std::optional<uint64_t> content_length() const;
  // Of an answer 206 and its header "Content-Range: bytes 0-9/100": nothing where it is malformed.
  struct Part {
    ByteRange range;
    std::optional<uint64_t> total;
  };
  std::optional<Part> part() const;
};

// Who receives an answer. Calls come on the thread that calls HttpClient::step; only on_end may begin or
// cancel other transfers.
class HttpSink {
 public:
  HttpSink() = default;
  HttpSink(const HttpSink&) = delete;
  HttpSink& operator=(const HttpSink&) = delete;
  virtual ~HttpSink() = default;
  // Any status but a redirect. An error ends the transfer and comes back in on_end.
  virtual Status on_head(const HttpHead& head) = 0;
  virtual Status on_body(std::span<const std::byte> bytes) = 0;
  // Last call: the answer came whole (which says nothing of its status), or kIo where the connection failed,
  // stalled or broke off, or an error of this sink.
  virtual void on_end(Status status) = 0;
};

class HttpClient {
 public:
  static Result<HttpClient> create(HttpOptions options);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) = delete;
  // Transfers under way are dropped without a call to their sinks.
  ~HttpClient();

  // Begins; `sink` must live until its on_end. Errors: kInvalidArgument for what is not an http(s) URL.
  Status start(const HttpRequest& request, HttpSink& sink);
  size_t n_active() const;
  // Waits at most `timeout` for something to arrive and hands it on.
  Status step(std::chrono::milliseconds timeout);
  // Ends the transfers of `sink` without calling it again. Not from within one of its calls.
  void cancel(const HttpSink& sink);

  // The whole answer, whatever its status. `max_bytes` bounds the body; `check` is asked ten times a second.
  // Errors: kIo, kLimit, those of check.
  struct Answer {
    HttpHead head;
    std::string body;
  };
  Result<Answer> fetch(const HttpRequest& request, size_t max_bytes, const std::function<Status()>& check);

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace atelier
