// Who runs, who waits, and whose pages go when memory is short.
#include <algorithm>

#include "base/checked.h"
#include "engine/scheduler_worker.h"

namespace atelier {
namespace {

// What a sequence of `n_tokens` may take soon: its pages, those of the chunk it is about to fill, and a page
// to grow into.
uint64_t wanted_bytes(const KvPool& pool, size_t n_tokens, size_t pending, size_t chunk) {
  uint64_t bytes = pool.sequence_bytes(n_tokens + kKvPageTokens);
  if (pool.windowed()) bytes += pool.sequence_bytes(std::min(pending, chunk));
  return bytes;
}

}  // namespace

// Whether `n_tokens` more tokens, in sequences that take `places`, can run beside those that run.
bool Scheduler::Worker::fits(size_t places, size_t n_tokens) const {
  const KvPool& pool = engine_->kv_pool();
  const size_t chunk = engine_->options().prefill_chunk;
  uint64_t bytes = wanted_bytes(pool, n_tokens, n_tokens, chunk) +
                   (places - 1) * wanted_bytes(pool, kKvPageTokens, 0, chunk);
  for (const auto& sequence : running_) {
    places += sequence->places();
    bytes += wanted_bytes(pool, sequence->tokens.size(), sequence->pending(), chunk) +
             (sequence->places() - 1) * wanted_bytes(pool, kKvPageTokens, 0, chunk);
  }
  return places <= options_.max_running && (running_.empty() || bytes <= pool.max_bytes());
}

// Those that were interrupted come before new ones, oldest first. False if one of them has to go on waiting.
bool Scheduler::Worker::resume_set_aside() {
  for (auto next = set_aside_.begin(); next != set_aside_.end();) {
    Sequence& sequence = **next;
    if (sequence.request->stream->resting()) {
      ++next;
      continue;
    }
    if (!fits(sequence.places(), sequence.tokens.size())) return false;
    running_.push_back(std::move(*next));
    next = set_aside_.erase(next);
  }
  return true;
}

// In the queue's order: one that does not fit yet is waited for, or it would be overtaken for ever.
void Scheduler::Worker::admit_from_queue() {
  for (;;) {
    std::shared_ptr<Request> request;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return;
      if (!fits(queue_.front()->asked.n, queue_.front()->usage.prompt_tokens)) return;
      request = queue_.pop();
      if (!request->stream->take()) {
        ++metrics_.cancelled;
        active_.fetch_sub(1);
        continue;
      }
    }
    auto sequence =
        std::make_unique<Sequence>(request, 0, engine_->new_sequence(), engine_->shared_tokenizer().get());
    sequence->tokens = std::move(request->asked.prompt);
    sequence->n_prompt = sequence->tokens.size();
    sequence->filter = std::move(request->asked.filter);
    running_.push_back(std::move(sequence));
  }
}

// A sequence whose consumer does not keep up holds no place that somebody else waits for.
void Scheduler::Worker::set_aside_resting() {
  const bool somebody_waits =
      queued_->load() > 0 || std::ranges::any_of(set_aside_, [](const std::unique_ptr<Sequence>& sequence) {
        return !sequence->request->stream->resting();
      });
  if (!somebody_waits) return;
  std::vector<Sequence*> resting;
  for (const auto& sequence : running_)
    if (sequence->request->stream->resting()) resting.push_back(sequence.get());
  for (Sequence* sequence : resting) {
    // The prefix cache keeps the pages as long as nobody needs the memory.
    if (sequence->started && sequence->kv.length() > 0) remember(*sequence, std::move(sequence->kv));
    set_aside(*sequence);
  }
}

// Takes the pages from a running sequence; it will be computed again.
void Scheduler::Worker::set_aside(Sequence& sequence) {
  std::unique_ptr<Sequence> owned = remove(sequence);
  owned->kv = engine_->new_sequence();
  owned->started = false;
  owned->checkpoints.clear();
  const auto older = [&](const std::unique_ptr<Sequence>& other) { return other->age() > owned->age(); };
  set_aside_.insert(std::ranges::find_if(set_aside_, older), std::move(owned));
}

// Ends what was cancelled or has failed. Sequences of the pass under way have to wait for its end.
void Scheduler::Worker::reap() {
  std::vector<Sequence*> ended;
  const auto look_at = [&](const std::unique_ptr<Sequence>& sequence) {
    if (!sequence->in_pass && (sequence->cancelled() || sequence->request->error))
      ended.push_back(sequence.get());
  };
  std::ranges::for_each(running_, look_at);
  std::ranges::for_each(set_aside_, look_at);
  for (Sequence* sequence : ended)
    end_choice(*sequence, sequence->request->error ? EndReason::kError : EndReason::kCancelled);
}

std::unique_ptr<ScheduledSequence> Scheduler::Worker::remove(const Sequence& sequence) {
  const auto is_it = [&](const std::unique_ptr<Sequence>& other) { return other.get() == &sequence; };
  std::unique_ptr<Sequence> owned;
  if (const auto at = std::ranges::find_if(running_, is_it); at != running_.end()) {
    owned = std::move(*at);
    running_.erase(at);
  } else if (const auto aside = std::ranges::find_if(set_aside_, is_it); aside != set_aside_.end()) {
    owned = std::move(*aside);
    set_aside_.erase(aside);
  }
  return owned;
}

bool Scheduler::Worker::is_running(const Sequence* sequence) const {
  return std::ranges::any_of(running_, [&](const auto& other) { return other.get() == sequence; });
}

// Pages for `n_tokens` more: out of the pool, from the prefix cache, then from whoever can best do without.
// False if `sequence` itself had to give way; it is set aside or ended then.
bool Scheduler::Worker::make_room(Sequence& sequence, size_t n_tokens) {
  for (;;) {
    Status room = sequence.kv.reserve(n_tokens);
    if (room) return true;
    if (cache_.evict_one()) continue;
    Sequence* victim = nullptr;  // one whose consumer is slow, else the youngest
    const auto ease = [](const Sequence& s) { return std::pair(s.request->stream->resting(), s.age()); };
    for (const auto& other : running_)
      if (!other->in_pass && (victim == nullptr || ease(*other) > ease(*victim))) victim = other.get();
    if (running_.size() == 1) {  // nobody else has any
      fail_request(*sequence.request, std::move(room).error());
      return false;
    }
    count([](SchedulerMetrics& metrics) { ++metrics.preemptions; });
    const bool gives_way = victim == nullptr || victim == &sequence;
    set_aside(gives_way ? sequence : *victim);
    if (gives_way) return false;
  }
}

}  // namespace atelier
