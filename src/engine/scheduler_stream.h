// Between the scheduler's thread and those that wait for it: a bell, and the buffer behind a stream.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/generation.h"

namespace atelier {

// Wakes the scheduler. Streams may outlive the scheduler, so it belongs to all of them.
class Doorbell {
 public:
  void ring();
  void wait();  // until somebody rang since the last wait

 private:
  std::mutex mutex_;
  std::condition_variable rung_changed_;
  bool rung_ = false;
};

struct GenerationStream::Shared {
  // `queued` counts requests in the queue; this one is counted already.
  Shared(size_t n_choices, size_t capacity, size_t prompt_tokens, std::shared_ptr<Doorbell> doorbell,
         std::shared_ptr<std::atomic<size_t>> queued);

  // The scheduler's side.
  bool take();        // out of the queue; false if it was cancelled there, and then it has its end already
  bool left_queue();  // whether it was taken or cancelled
  void push(GenerationEvent event);
  bool resting();  // whether the consumer has to catch up first
  bool is_cancelled(size_t choice) const;
  bool is_cancelled() const;  // all of it

  // The consumer's side: as GenerationStream says.
  std::optional<GenerationEvent> pop(bool wait);
  void when_ready(std::function<void()> ready);
  void cancel();
  void cancel(size_t choice);

 private:
  void call_ready();

  const size_t n_choices_;
  const size_t capacity_;
  const size_t prompt_tokens_;
  const std::shared_ptr<Doorbell> doorbell_;
  const std::shared_ptr<std::atomic<size_t>> queued_;
  std::atomic<uint64_t> cancelled_{0};  // a bit for each choice

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<GenerationEvent> events_;
  bool in_queue_ = true;
  bool resting_ = false;
  bool ended_ = false;  // GenerationEnd was pushed

  // Held while `ready_` is called, so that withdrawing it waits for a call under way. Taken before mutex_.
  std::recursive_mutex ready_mutex_;
  std::function<void()> ready_;
};

}  // namespace atelier
