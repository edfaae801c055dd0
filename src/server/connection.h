// One client's connection: requests in, answers out, one after the other, until either side ends it.
// Internal to the network files.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "server/access.h"
#include "server/access_log.h"
#include "server/request_reader.h"
#include "server/router.h"
#include "server/stream.h"

namespace atelier::server {

class Connection;

// What all connections share. Everything runs on the one thread of `io`, handlers on `workers`.
struct Site {
  boost::asio::io_context& io;
  boost::asio::thread_pool& workers;
  const Router& router;
  const Access& access;
  AccessLog& log;
  std::string request_prefix;  // of this run, so that ids of two runs differ
  uint64_t n_requests = 0;
  size_t body_bytes = 0;  // being read or answered
  bool draining = false;  // no new requests
  std::set<std::shared_ptr<Connection>> connections{};
};

// The network thread owns it. Its one coroutine sleeps on a timer; whatever happens (bytes came, bytes went,
// an answer has news, the server drains) sets a flag and wakes it, so that every wait has a deadline and
// notices a client that left.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Site& site, std::unique_ptr<Stream> stream, std::string peer);

  void start();  // adds itself to the site, and removes itself at the end
  void drain();  // ends once no request is under way
  void cut();    // ends now

 private:
  using Clock = std::chrono::steady_clock;
  template <class T>
  using Task = boost::asio::awaitable<T>;

  // Of the request that is being answered.
  struct Exchange {
    HttpRequest request{};  // without body; that went to the handler
    Clock::time_point began{};
    unsigned status = 0;
    size_t bytes_in = 0, bytes_out = 0;
    bool keep_alive = false, http_1_0 = false, head_only = false;
    bool body_unread = false;  // refused before its body was there
    bool gone = false;         // the client left before the end of the answer
    OrderedJson fields = OrderedJson::object();
  };

  Task<void> run();
  Task<bool> handshake();
  Task<bool> serve_one();  // false: the connection ends
  Task<bool> read_request(RequestReader& reader);
  Task<bool> read_body(RequestReader& reader);
  Task<bool> answer_request(const Router::Match& match, HttpRequest request);
  Task<bool> send_answer();
  Task<bool> send_pieces(HttpResponse& piece);
  Task<bool> send_whole(const HttpResponse& response);
  Task<bool> refuse(ErrorStyle style, const Failure& failure);
  Task<bool> write(std::string bytes);
  Task<bool> more(Clock::time_point deadline);  // bytes came in time
  Task<void> sleep_until(Clock::time_point deadline);
  Task<void> linger();

  void wake();
  void start_read();
  void hand_over(const Route& route, PathParameters parameters, HttpRequest request);
  void count_body(size_t bytes);
  std::string head_of(const HttpResponse& response, bool chunked, size_t length) const;
  void log_exchange();

  Site& site_;
  std::unique_ptr<Stream> stream_;
  std::string peer_;
  boost::asio::steady_timer timer_;

  std::array<char, 16384> incoming_{};
  std::string unread_;  // bytes that came and were not looked at
  bool reading_ = false;
  bool eof_ = false;  // or an error: nothing more will come

  std::string outgoing_;
  size_t written_ = 0;
  bool writing_ = false;
  bool broken_ = false;  // nothing more can be sent

  bool cut_ = false;
  bool signalled_ = false;  // by an operation that has no flag of its own
  std::atomic<bool> wake_posted_{false};

  Exchange exchange_;
  size_t counted_body_ = 0;
  bool handled_ = false;
  std::unique_ptr<Answer> answer_;
};

}  // namespace atelier::server
