#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/scheduler_worker.h"

namespace atelier {
namespace {

constexpr size_t kMaxTopLogprobs = 20;  // as the OpenAI API has it
constexpr double kMaxRetrySeconds = 600;

}  // namespace

Scheduler::Scheduler(std::unique_ptr<Engine> engine, const SchedulerOptions& options)
    : worker_(std::make_unique<Worker>(std::move(engine), options)) {}
Scheduler::~Scheduler() = default;
Result<std::unique_ptr<GenerationStream>> Scheduler::submit(GenerationRequest request) {
  return worker_->submit(std::move(request));
}
std::chrono::seconds Scheduler::retry_after() const { return worker_->retry_after(); }
Status Scheduler::embed(EmbeddingRequest request) { return worker_->embed(std::move(request)); }
void Scheduler::drain() { worker_->drain(); }
bool Scheduler::idle() const { return worker_->idle(); }
std::future<void> Scheduler::drop_prefix_cache() { return worker_->drop_prefix_cache(); }
SchedulerMetrics Scheduler::metrics() const { return worker_->metrics(); }
const Engine& Scheduler::engine() const { return worker_->engine(); }

Scheduler::Worker::Worker(std::unique_ptr<Engine> engine, const SchedulerOptions& options)
    : options_(options),
      engine_(std::move(engine)),
      cache_(engine_->kv_pool(), options.prefix_cache_bytes),
      pace_(engine_->options().prefill_chunk),
      decode_cost_(engine_->options().drafts.row_cost),
      thread_([this] { run(); }) {}

Scheduler::Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    stopping_ = true;
  }
  doorbell_->ring();
  thread_.join();
}

Status Scheduler::Worker::check_prompt(std::span<const TokenId> prompt) const {
  if (prompt.empty())
    return fail(ErrorCode::kInvalidArgument, "prompt: expected at least one token, found none");
  if (prompt.size() > engine_->context_length())
    return fail(ErrorCode::kLimit, "prompt: expected at most {} tokens (the context), found {}",
                engine_->context_length(), prompt.size());
  const size_t vocab_size = engine_->info().vocab_size;
  for (const TokenId id : prompt)
    if (id < 0 || static_cast<size_t>(id) >= vocab_size)
      return fail(ErrorCode::kInvalidArgument, "prompt: expected token ids from 0 to {}, found {}",
                  vocab_size - 1, id);
  const KvPool& pool = engine_->kv_pool();
  const uint64_t needed = pool.sequence_bytes(prompt.size());
  if (needed > pool.max_bytes())
    return fail(ErrorCode::kOutOfMemory,
                "KV cache: needed {} MiB for a prompt of {} tokens, available {} MiB", needed >> 20,
                prompt.size(), pool.max_bytes() >> 20);
  return {};
}

Status Scheduler::Worker::check(const GenerationRequest& request) const {
  ATELIER_CHECK_OK(check_sampler_options(request.sampler));
  ATELIER_CHECK_OK(check_prompt(request.prompt));
  const size_t n_prompt = request.prompt.size();
  const size_t max_choices = std::min(options_.max_choices, options_.max_running);
  if (request.n == 0 || request.n > max_choices)
    return fail(ErrorCode::kLimit, "n: expected 1 to {}, found {}", max_choices, request.n);
  if (request.top_logprobs && *request.top_logprobs > kMaxTopLogprobs)
    return fail(ErrorCode::kLimit, "top_logprobs: expected at most {}, found {}", kMaxTopLogprobs,
                *request.top_logprobs);
  const size_t vocab_size = engine_->info().vocab_size;
  for (const TokenId id : request.prediction)
    if (id < 0 || static_cast<size_t>(id) >= vocab_size)
      return fail(ErrorCode::kInvalidArgument, "prediction: expected token ids from 0 to {}, found {}",
                  vocab_size - 1, id);
  if (!std::ranges::is_sorted(request.boundaries) ||
      (!request.boundaries.empty() && request.boundaries.back() > n_prompt))
    return fail(ErrorCode::kInvalidArgument, "boundaries: expected ascending lengths up to {}", n_prompt);
  return {};
}

Result<std::unique_ptr<GenerationStream>> Scheduler::Worker::submit(GenerationRequest asked) {
  ATELIER_CHECK_OK(check(asked));
  const auto request = std::make_shared<Request>();
  request->open_choices = asked.n;
  request->usage.prompt_tokens = asked.prompt.size();
  request->submitted = Clock::now();
  request->stream = std::make_shared<GenerationStream::Shared>(
      asked.n, std::max<size_t>(options_.stream_events, 1), asked.prompt.size(), doorbell_, queued_);
  const std::string key = asked.fairness_key;
  request->asked = std::move(asked);
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return fail(ErrorCode::kInterrupted, "shutting down: no new requests");
    const size_t waiting = queued_->load() + set_aside_count_.load();
    if (waiting >= std::max<size_t>(options_.max_queued, 1)) {
      ++metrics_.refused;
      return fail(ErrorCode::kOverloaded,
                  "requests waiting: expected fewer than {}, found {}; try again later", options_.max_queued,
                  waiting);
    }
    // Those that were cancelled while they waited are only marked; there may be any number of them.
    if (queue_.size() > 2 * options_.max_queued) remove_left();
    request->serial = next_serial_++;
    queue_.push(key, request);
    queued_->fetch_add(1);
    active_.fetch_add(1);
    ++metrics_.requests;
  }
  doorbell_->ring();
  return std::make_unique<GenerationStream>(request->stream);
}

// Under mutex_: forgets queued requests that were cancelled, which have had their end.
void Scheduler::Worker::remove_left() {
  const size_t before = queue_.size();
  queue_.remove_if([](const std::shared_ptr<Request>& request) { return request->stream->left_queue(); });
  metrics_.cancelled += before - queue_.size();
  active_.fetch_sub(before - queue_.size());
}

std::chrono::seconds Scheduler::Worker::retry_after() const {
  const auto waiting = static_cast<double>(queued_->load() + set_aside_count_.load() + 1);
  double seconds = waiting / static_cast<double>(options_.max_running);
  {
    const std::lock_guard lock(mutex_);
    seconds *= mean_request_seconds_;
  }
  return std::chrono::seconds(static_cast<int64_t>(std::ceil(std::clamp(seconds, 1.0, kMaxRetrySeconds))));
}

void Scheduler::Worker::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

std::future<void> Scheduler::Worker::drop_prefix_cache() {
  std::future<void> done;
  {
    const std::lock_guard lock(mutex_);
    done = drop_cache_.emplace_back().get_future();
  }
  doorbell_->ring();
  return done;
}

SchedulerMetrics Scheduler::Worker::metrics() const {
  const std::lock_guard lock(mutex_);
  SchedulerMetrics metrics = metrics_;
  metrics.queued = queued_->load();
  return metrics;
}

void Scheduler::Worker::run() {
  last_decode_ = Clock::now();
  while (take_orders()) {
    const bool decoded = decode_step();
    const bool prefilled = prefill_pass();
    const bool embedded = embedding_step();
    if (!decoded && !prefilled && !embedded) doorbell_->wait();
  }
  end_everything();
}

// What came in since the last step. False when it is time to stop.
bool Scheduler::Worker::take_orders() {
  std::vector<std::promise<void>> drop_cache;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    drop_cache.swap(drop_cache_);
    remove_left();
  }
  if (!drop_cache.empty()) {
    cache_.clear();
    engine_->trim_kv();
    for (std::promise<void>& done : drop_cache) done.set_value();
  }
  reap();
  set_aside_resting();
  if (resume_set_aside()) admit_from_queue();
  publish_gauges();
  return true;
}

void Scheduler::Worker::end_everything() {
  end_embeddings();
  while (!running_.empty()) end_choice(*running_.back(), EndReason::kCancelled);
  while (!set_aside_.empty()) end_choice(*set_aside_.back(), EndReason::kCancelled);
  std::vector<std::shared_ptr<Request>> queued;
  {
    const std::lock_guard lock(mutex_);
    while (!queue_.empty()) queued.push_back(queue_.pop());
    for (std::promise<void>& done : drop_cache_) done.set_value();
  }
  for (const auto& request : queued) request->stream->cancel();
  active_.store(0);
  cache_.clear();
}

void Scheduler::Worker::publish_gauges() {
  size_t resting = 0;
  for (const auto& sequence : set_aside_) resting += sequence->request->stream->resting() ? 1 : 0;
  for (const auto& sequence : running_) resting += sequence->request->stream->resting() ? 1 : 0;
  set_aside_count_.store(set_aside_.size());
  const std::lock_guard lock(mutex_);
  metrics_.running = running_.size();
  metrics_.set_aside = set_aside_.size();
  metrics_.resting = resting;
  metrics_.cache_entries = cache_.entries();
  metrics_.cache_bytes = cache_.bytes();
  metrics_.cache_evictions = cache_.evictions();
  metrics_.kv_bytes_in_use = engine_->kv_pool().bytes_in_use();
  metrics_.kv_bytes_limit = engine_->kv_pool().max_bytes();
}

}  // namespace atelier
