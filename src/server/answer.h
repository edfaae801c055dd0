// What a handler gives back: a response that is ready, or one that comes in pieces.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "server/http.h"
#include "server/json_out.h"

namespace atelier::server {

// Called on the network thread only, except where said. Destroying an answer cancels what still works on it.
class Answer {
 public:
  enum class State {
    kWaiting,  // nothing new
    kMore,     // something was added, more will come
    kDone,     // something may have been added, and that was all
  };
  virtual ~Answer() = default;

  // `wake` may be called from any thread while the answer lives, whenever poll() may have news.
  virtual void start(std::function<void()> wake) = 0;

  // Appends to `piece.body` what is ready. The first call that does not return kWaiting also decides status,
  // type and headers. A first call that returns kDone is a whole response with a Content-Length.
  virtual State poll(HttpResponse& piece) = 0;

  // What to send on a stream that has been silent for kHeartbeat; empty: nothing.
  virtual std::string heartbeat() { return {}; }

  // Members for the access log, once the answer is done or given up.
  virtual OrderedJson log_fields() const { return OrderedJson::object(); }
};

class ReadyAnswer final : public Answer {
 public:
  explicit ReadyAnswer(HttpResponse response) : response_(std::move(response)) {}
  void start(std::function<void()>) override {}
  State poll(HttpResponse& piece) override {
    piece = std::move(response_);
    return State::kDone;
  }

 private:
  HttpResponse response_;
};

inline std::unique_ptr<Answer> ready(HttpResponse response) {
  return std::make_unique<ReadyAnswer>(std::move(response));
}
inline std::unique_ptr<Answer> ready(const OrderedJson& body) {
  return ready(HttpResponse{.body = to_text(body)});
}

}  // namespace atelier::server
