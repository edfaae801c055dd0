#include "server/connection.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <ctime>
#include <new>

#include "server/limits.h"

namespace atelier::server {
namespace {

using boost::system::error_code;
using namespace std::chrono_literals;

// The parser wants a header whole; the same room holds later requests while one is answered.
constexpr size_t kMaxUnread = kMaxHeaderBytes + (size_t{16} << 10);
constexpr size_t kMaxLoggedPath = 256;

std::string http_date() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr)));
}

std::string log_time() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)),
                     ms % 1000);
}

Failure unknown_route(const Router::Match& match, const HttpRequest& request) {
  const std::string path = request.path.substr(0, kMaxLoggedPath);
  if (match.allowed.empty())
    return {.status = 404, .message = fmt::format("path: expected a documented one, found {}", path)};
  return {.status = 405,
          .message = fmt::format("method: expected {} for {}, found {}", match.allowed, path,
                                 request.method.substr(0, kMaxLoggedPath)),
          .allow = match.allowed};
}

std::unique_ptr<Answer> run_handler(const Route& route, HttpRequest request, const PathParameters& path) {
  try {
    return route.handler(std::move(request), path);
  } catch (const std::bad_alloc&) {
    const Error error{ErrorCode::kOutOfMemory, "out of memory while reading the request"};
    return ready(failure_response(route.style, to_failure(error)));
  } catch (const std::exception& error) {  // of a library; ours returns errors
    const Failure failure{.status = 500, .message = fmt::format("internal error: {}", error.what())};
    return ready(failure_response(route.style, failure));
  }
}

}  // namespace

Connection::Connection(Site& site, std::unique_ptr<Stream> stream, std::string peer)
    : site_(site), stream_(std::move(stream)), peer_(std::move(peer)), timer_(site.io) {}

void Connection::start() {
  site_.connections.insert(shared_from_this());
  boost::asio::co_spawn(site_.io, [self = shared_from_this()] { return self->run(); }, boost::asio::detached);
}

void Connection::drain() { wake(); }

void Connection::cut() {
  cut_ = eof_ = broken_ = true;
  stream_->close();
  wake();
}

void Connection::wake() { timer_.cancel(); }

Connection::Task<void> Connection::sleep_until(Clock::time_point deadline) {
  timer_.expires_at(deadline);
  error_code ignored;
  co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

Connection::Task<void> Connection::run() {
  const std::shared_ptr<Connection> self = shared_from_this();
  bool alive = co_await handshake();
  while (alive) {
    exchange_ = {};
    alive = co_await serve_one();
    answer_.reset();  // cancels what still runs
    count_body(0);
    if (exchange_.status != 0 || exchange_.gone) log_exchange();
  }
  if (!cut_) co_await linger();
  stream_->close();
  site_.connections.erase(self);
}

Connection::Task<bool> Connection::handshake() {
  signalled_ = false;
  bool failed = false;
  stream_->handshake([this, self = shared_from_this(), &failed](error_code error, size_t) {
    if (!signalled_ && error) failed = true;
    signalled_ = true;
    wake();
  });
  const auto deadline = Clock::now() + kHandshakeTimeout;
  while (!signalled_ && !cut_) {
    if (Clock::now() >= deadline) cut();
    co_await sleep_until(deadline);
  }
  while (!signalled_) co_await sleep_until(Clock::now() + 1s);  // `failed` must outlive the operation
  if (failed) eof_ = broken_ = true;
  co_return !failed && !cut_;
}

void Connection::start_read() {
  if (reading_ || eof_ || unread_.size() >= kMaxUnread) return;
  reading_ = true;
  stream_->read_some(boost::asio::buffer(incoming_),
                     [this, self = shared_from_this()](error_code error, size_t n) {
                       reading_ = false;
                       unread_.append(incoming_.data(), n);
                       if (error || n == 0) eof_ = true;
                       wake();
                     });
}

Connection::Task<bool> Connection::more(Clock::time_point deadline) {
  const size_t before = unread_.size();
  start_read();
  while (reading_ && unread_.size() == before && Clock::now() < deadline) co_await sleep_until(deadline);
  co_return unread_.size() > before;
}

Connection::Task<bool> Connection::write(std::string bytes) {
  outgoing_ = std::move(bytes);
  written_ = 0;
  while (written_ < outgoing_.size() && !broken_) {
    writing_ = true;
    const std::string_view rest = std::string_view(outgoing_).substr(written_);
    stream_->write_some(boost::asio::buffer(rest.data(), rest.size()),
                        [this, self = shared_from_this()](error_code error, size_t n) {
                          writing_ = false;
                          written_ += n;
                          if (error) broken_ = true;
                          wake();
                        });
    const auto deadline = Clock::now() + kWriteStallTimeout;
    while (writing_) {
      if (Clock::now() >= deadline && !cut_) cut();
      co_await sleep_until(cut_ ? Clock::now() + 1s : deadline);
    }
  }
  exchange_.bytes_out += written_;
  co_return !broken_;
}

Connection::Task<bool> Connection::serve_one() {
  const auto idle_end = Clock::now() + kKeepAliveTimeout;
  while (unread_.empty()) {
    if (eof_ || site_.draining || Clock::now() >= idle_end) co_return false;
    start_read();
    co_await sleep_until(idle_end);
  }
  exchange_.began = Clock::now();
  exchange_.request.id = fmt::format("req_{}{:08x}", site_.request_prefix, ++site_.n_requests);
  RequestReader reader;
  if (!co_await read_request(reader)) co_return false;

  HttpRequest& request = reader.request();
  request.id = exchange_.request.id;
  request.client = peer_;
  exchange_.request = request;
  exchange_.keep_alive = reader.keep_alive();
  exchange_.http_1_0 = reader.http_1_0();
  exchange_.head_only = request.method == "HEAD";
  exchange_.body_unread = reader.state() == RequestReader::State::kBody;
  const Router::Match match = site_.router.find(request.method, request.path);
  const bool is_public = match.route != nullptr && match.route->is_public;
  if (const auto failure = site_.access.refuse(request, is_public, exchange_.body_unread))
    co_return co_await refuse(match.style, *failure);
  if (request.method == "OPTIONS" && !match.allowed.empty()) {
    HttpResponse response = site_.access.preflight(request);
    response.headers.push_back({"allow", match.allowed + ", OPTIONS"});
    co_return co_await send_whole(response);
  }
  if (match.route == nullptr) {
    const Failure failure = unknown_route(match, request);
    co_return co_await refuse(match.style, failure);
  }
  if (site_.draining) {
    const Failure failure{.status = 503, .message = "the server is shutting down", .retry_after = 5s};
    co_return co_await refuse(match.style, failure);
  }
  if (!co_await read_body(reader)) co_return false;
  co_return co_await answer_request(match, std::move(request));
}

Connection::Task<bool> Connection::read_request(RequestReader& reader) {
  const auto deadline = exchange_.began + kHeaderTimeout;
  for (;;) {
    const size_t taken = reader.feed(unread_);
    unread_.erase(0, taken);
    exchange_.bytes_in += taken;
    if (reader.state() == RequestReader::State::kFailed) break;
    if (reader.state() != RequestReader::State::kHeader) co_return true;
    if (co_await more(deadline)) continue;
    if (eof_) co_return false;
    const Failure failure{
        .status = 408,
        .message = fmt::format("request header: expected within {} s, found less", kHeaderTimeout.count())};
    co_return co_await refuse(ErrorStyle::kOpenAi, failure);
  }
  const Failure failure{.status = reader.failure().status, .message = reader.failure().message};
  exchange_.body_unread = true;
  co_await refuse(ErrorStyle::kOpenAi, failure);
  co_return false;
}

// On failure the refusal has been sent.
Connection::Task<bool> Connection::read_body(RequestReader& reader) {
  if (reader.expects_continue() && unread_.empty() && exchange_.body_unread) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await write(std::move(go_on))) co_return false;
  }
  const ErrorStyle style = style_of_path(exchange_.request.path);
  while (reader.state() == RequestReader::State::kBody) {
    const size_t taken = reader.feed(unread_);
    unread_.erase(0, taken);
    exchange_.bytes_in += taken;
    if (reader.state() == RequestReader::State::kFailed) {
      const Failure failure{.status = reader.failure().status, .message = reader.failure().message};
      co_await refuse(style, failure);
      co_return false;
    }
    if (reader.state() == RequestReader::State::kComplete) break;
    count_body(reader.body_bytes());
    if (site_.body_bytes > kMaxBodyBytesInFlight) {
      const Failure failure{.status = 503, .message = "too many large requests at once", .retry_after = 5s};
      co_await refuse(style, failure);
      co_return false;
    }
    if (co_await more(Clock::now() + kBodyIdleTimeout)) continue;
    if (eof_) co_return false;
    const Failure failure{.status = 408,
                          .message = fmt::format("request body: expected to go on within {} s, found nothing",
                                                 kBodyIdleTimeout.count())};
    co_await refuse(style, failure);
    co_return false;
  }
  exchange_.body_unread = false;
  count_body(reader.request().body.size());
  co_return true;
}

void Connection::count_body(size_t bytes) {
  site_.body_bytes += bytes - counted_body_;
  counted_body_ = bytes;
}

void Connection::hand_over(const Route& route, PathParameters parameters, HttpRequest request) {
  handled_ = false;
  boost::asio::post(site_.workers, [self = shared_from_this(), &route, parameters = std::move(parameters),
                                    request = std::move(request)]() mutable {
    std::unique_ptr<Answer> answer = run_handler(route, std::move(request), parameters);
    boost::asio::io_context& io = self->site_.io;
    boost::asio::post(io, [self = std::move(self), answer = std::move(answer)]() mutable {
      self->answer_ = std::move(answer);
      self->handled_ = true;
      self->wake();
    });
  });
}

Connection::Task<bool> Connection::answer_request(const Router::Match& match, HttpRequest request) {
  hand_over(*match.route, match.parameters, std::move(request));
  while (!handled_) co_await sleep_until(Clock::now() + 1h);
  answer_->start([this] {
    if (wake_posted_.exchange(true)) return;
    boost::asio::post(site_.io, [self = shared_from_this()] {
      self->wake_posted_ = false;
      self->signalled_ = true;
      self->wake();
    });
  });
  const bool sent = co_await send_answer();
  exchange_.fields = answer_->log_fields();
  co_return sent;
}

Connection::Task<bool> Connection::send_answer() {
  for (;;) {
    signalled_ = false;
    HttpResponse piece;
    const Answer::State state = answer_->poll(piece);
    if (state == Answer::State::kDone) co_return co_await send_whole(piece);
    if (state == Answer::State::kMore) co_return co_await send_pieces(piece);
    // The client has nothing to send now: what comes is the next request, or the end.
    while (!signalled_ && !eof_) {
      start_read();
      co_await sleep_until(Clock::now() + 1h);
    }
    if (eof_) {
      exchange_.gone = true;
      co_return false;
    }
  }
}

Connection::Task<bool> Connection::send_pieces(HttpResponse& piece) {
  const bool chunked = !exchange_.http_1_0;
  exchange_.keep_alive = exchange_.keep_alive && chunked;
  exchange_.status = piece.status;
  std::string bytes = head_of(piece, chunked, 0);
  Answer::State state = Answer::State::kMore;
  for (;;) {
    if (!piece.body.empty() && !exchange_.head_only)
      bytes += chunked ? fmt::format("{:x}\r\n{}\r\n", piece.body.size(), piece.body) : piece.body;
    if (state == Answer::State::kDone && chunked && !exchange_.head_only) bytes += "0\r\n\r\n";
    piece.body.clear();
    if (!bytes.empty()) {
      exchange_.gone = !co_await write(std::exchange(bytes, {}));
      if (exchange_.gone) co_return false;
    }
    if (state == Answer::State::kDone) co_return exchange_.keep_alive;
    const auto silence_end = Clock::now() + kHeartbeat;
    while (state == Answer::State::kWaiting && !signalled_ && !eof_ && Clock::now() < silence_end) {
      start_read();
      co_await sleep_until(silence_end);
    }
    if (eof_) {
      exchange_.gone = true;
      co_return false;
    }
    signalled_ = false;
    state = answer_->poll(piece);
    if (state == Answer::State::kWaiting && Clock::now() >= silence_end) piece.body = answer_->heartbeat();
  }
}

Connection::Task<bool> Connection::send_whole(const HttpResponse& response) {
  exchange_.status = response.status;
  exchange_.keep_alive = exchange_.keep_alive && !exchange_.body_unread && !site_.draining;
  std::string bytes = head_of(response, false, response.body.size());
  if (!exchange_.head_only) bytes += response.body;
  exchange_.gone = !co_await write(std::move(bytes));
  co_return exchange_.keep_alive && !exchange_.gone;
}

Connection::Task<bool> Connection::refuse(ErrorStyle style, const Failure& failure) {
  exchange_.fields["error"] = failure.message;
  const HttpResponse response = failure_response(style, failure);
  co_return co_await send_whole(response);
}

std::string Connection::head_of(const HttpResponse& response, bool chunked, size_t length) const {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\ndate: {}\r\nx-request-id: {}\r\n", response.status,
                                 status_text(response.status), http_date(), exchange_.request.id);
  if (!response.content_type.empty())
    head += fmt::format("content-type: {}\r\nx-content-type-options: nosniff\r\n", response.content_type);
  for (const HttpHeader& header : response.headers)
    head += fmt::format("{}: {}\r\n", header.name, header.value);
  for (const HttpHeader& header : site_.access.cors_headers(exchange_.request))
    if (response.status != 204) head += fmt::format("{}: {}\r\n", header.name, header.value);
  const bool streamed = chunked;
  if (streamed)
    head += "transfer-encoding: chunked\r\n";
  else if (response.status != 204 && !exchange_.http_1_0)
    head += fmt::format("content-length: {}\r\n", length);
  head += exchange_.keep_alive ? "" : "connection: close\r\n";
  return head + "\r\n";
}

// A client that still sends would lose a refusal to the reset that closing causes: hear it out for a moment.
Connection::Task<void> Connection::linger() {
  signalled_ = false;
  if (broken_) co_return;
  stream_->say_goodbye([this, self = shared_from_this()](error_code, size_t) {
    signalled_ = true;
    wake();
  });
  const auto deadline = Clock::now() + kLingerTimeout;
  while (!signalled_ && !cut_ && Clock::now() < deadline) co_await sleep_until(deadline);
  size_t heard = 0;
  while (exchange_.body_unread && !eof_ && heard < kMaxLingerBytes) {
    heard += unread_.size();
    unread_.clear();
    if (!co_await more(deadline)) break;
  }
}

void Connection::log_exchange() {
  if (!site_.log.enabled()) return;
  const std::chrono::duration<double, std::milli> took = Clock::now() - exchange_.began;
  OrderedJson line = {{"time", log_time()},
                      {"id", exchange_.request.id},
                      {"peer", peer_},
                      {"method", exchange_.request.method.substr(0, kMaxLoggedPath)},
                      {"path", exchange_.request.path.substr(0, kMaxLoggedPath)},
                      {"status", exchange_.status},
                      {"ms", std::round(took.count() * 10) / 10},
                      {"bytes_in", exchange_.bytes_in},
                      {"bytes_out", exchange_.bytes_out}};
  if (exchange_.gone) line["client_left"] = true;
  line.update(exchange_.fields);
  site_.log.write(to_text(line));
}

}  // namespace atelier::server
