#include "engine/generation.h"

#include <utility>

#include "base/check.h"
#include "engine/scheduler_stream.h"

namespace atelier {

std::string_view end_reason_name(EndReason reason) {
  switch (reason) {
    case EndReason::kStop:
      return "stop";
    case EndReason::kLength:
      return "length";
    case EndReason::kCancelled:
      return "cancelled";
    case EndReason::kError:
      return "error";
  }
  return "unknown";
}

void Doorbell::ring() {
  {
    const std::lock_guard lock(mutex_);
    rung_ = true;
  }
  rung_changed_.notify_one();
}

void Doorbell::wait() {
  std::unique_lock lock(mutex_);
  rung_changed_.wait(lock, [&] { return rung_; });
  rung_ = false;
}

GenerationStream::Shared::Shared(size_t n_choices, size_t capacity, size_t prompt_tokens,
                                 std::shared_ptr<Doorbell> doorbell,
                                 std::shared_ptr<std::atomic<size_t>> queued)
    : n_choices_(n_choices),
      capacity_(capacity),
      prompt_tokens_(prompt_tokens),
      doorbell_(std::move(doorbell)),
      queued_(std::move(queued)) {
  ATELIER_CHECK(n_choices <= 64);
}

bool GenerationStream::Shared::take() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(in_queue_, false)) return false;
  queued_->fetch_sub(1);
  return true;
}

bool GenerationStream::Shared::left_queue() {
  const std::lock_guard lock(mutex_);
  return !in_queue_;
}

void GenerationStream::Shared::push(GenerationEvent event) {
  {
    const std::lock_guard lock(mutex_);
    ATELIER_CHECK(!ended_);
    ended_ = std::holds_alternative<GenerationEnd>(event);
    events_.push_back(std::move(event));
  }
  arrived_.notify_one();
  call_ready();
}

void GenerationStream::Shared::call_ready() {
  const std::lock_guard calling(ready_mutex_);
  std::function<void()> ready;
  {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) return;
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) ready();
}

bool GenerationStream::Shared::resting() {
  const std::lock_guard lock(mutex_);
  if (events_.size() >= capacity_) resting_ = true;
  return resting_;
}

bool GenerationStream::Shared::is_cancelled(size_t choice) const {
  return (cancelled_.load() >> choice & 1) != 0;
}

bool GenerationStream::Shared::is_cancelled() const {
  const uint64_t all = ~uint64_t{0} >> (64 - n_choices_);
  return (cancelled_.load() & all) == all;
}

std::optional<GenerationEvent> GenerationStream::Shared::pop(bool wait) {
  bool wake = false;
  std::optional<GenerationEvent> event;
  {
    std::unique_lock lock(mutex_);
    if (wait) arrived_.wait(lock, [&] { return !events_.empty() || ended_; });
    if (events_.empty()) return std::nullopt;
    event = std::move(events_.front());
    events_.pop_front();
    if (resting_ && events_.size() <= capacity_ / 2) {
      resting_ = false;
      wake = true;
    }
  }
  if (wake) doorbell_->ring();
  return event;
}

void GenerationStream::Shared::when_ready(std::function<void()> ready) {
  const std::lock_guard calling(ready_mutex_);
  {
    const std::lock_guard lock(mutex_);
    ready_ = std::move(ready);
  }
  call_ready();
}

void GenerationStream::Shared::cancel() {
  cancelled_.store(~uint64_t{0});
  bool left_queue = false;
  {
    const std::lock_guard lock(mutex_);
    left_queue = std::exchange(in_queue_, false);
  }
  doorbell_->ring();
  if (!left_queue) return;
  // Nobody works on it yet: its place in the queue is free from here on.
  queued_->fetch_sub(1);
  for (size_t choice = 0; choice < n_choices_; ++choice) push(ChoiceEnd{choice, EndReason::kCancelled});
  push(GenerationEnd{.error = std::nullopt, .usage = {.prompt_tokens = prompt_tokens_}, .timings = {}});
}

void GenerationStream::Shared::cancel(size_t choice) {
  if (choice >= n_choices_) return;
  cancelled_.fetch_or(uint64_t{1} << choice);
  if (is_cancelled()) {
    cancel();
  } else {
    doorbell_->ring();
  }
}

GenerationStream::~GenerationStream() {
  shared_->when_ready(nullptr);
  shared_->cancel();
}

// A call may lead to the consumer's `ready`, and that may let go of the stream: each holds on to what it
// uses.
std::optional<GenerationEvent> GenerationStream::try_next() { return std::shared_ptr(shared_)->pop(false); }

std::optional<GenerationEvent> GenerationStream::next() { return std::shared_ptr(shared_)->pop(true); }

void GenerationStream::when_ready(std::function<void()> ready) {
  std::shared_ptr(shared_)->when_ready(std::move(ready));
}

void GenerationStream::cancel() { std::shared_ptr(shared_)->cancel(); }

void GenerationStream::cancel(size_t choice) { std::shared_ptr(shared_)->cancel(choice); }

}  // namespace atelier
