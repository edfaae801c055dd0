// The scheduler's thread. scheduler.cpp: what callers see, and the loop; scheduler_admission.cpp: who runs;
// scheduler_pass.cpp: what is evaluated; scheduler_output.cpp: what becomes of logits.
#pragma once

#include <atomic>
#include <deque>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/scheduler.h"
#include "engine/scheduler_pace.h"
#include "engine/scheduler_queue.h"
#include "engine/scheduler_sequence.h"

namespace atelier {

class Scheduler::Worker {
 public:
  Worker(std::unique_ptr<Engine> engine, const SchedulerOptions& options);
  ~Worker();

  // Scheduler's, from any thread.
  Result<std::unique_ptr<GenerationStream>> submit(GenerationRequest request);
  std::chrono::seconds retry_after() const;
  void drain();
  bool idle() const { return active_.load() == 0; }
  Status embed(EmbeddingRequest request);
  std::future<void> drop_prefix_cache();
  SchedulerMetrics metrics() const;
  const Engine& engine() const { return *engine_; }

 private:
  using Clock = SchedulerClock;
  using Request = ScheduledRequest;
  using Sequence = ScheduledSequence;

  // A sequence's share of a pass.
  struct Planned {
    Sequence* sequence = nullptr;
    size_t n_tokens = 0;
    Engine::Logits logits = Engine::Logits::kNone;
  };
  // A pass that can be interrupted, between its parts.
  struct PassParts {
    size_t n_tokens = 0;
    double n_pairs = 0;                                   // of a token and a key
    double product_expected = 0, attention_expected = 0;  // seconds
    double product_seconds = 0, attention_seconds = 0;    // of the longest so far
    double interlude_seconds = 0;                         // spent on decode steps
    PassPart under_way = PassPart::kProducts;
    Clock::time_point begin;  // of that
    // `n` tokens of a prompt that has `depth` behind it.
    void add(size_t n, size_t depth) {
      n_tokens += n;
      n_pairs += Pace::pairs(n, depth);
    }
  };
  // Tokens about to be drawn: one from each row of logits, as long as those before were guessed right.
  struct Draw {
    Draw(Sequence* sequence_in, MatView<const float> rows_in) : sequence(sequence_in), rows(rows_in) {}
    Sequence* sequence;
    MatView<const float> rows;  // [1 + guesses, vocab_size]
    std::vector<TokenEvent> events;
    bool stop = false;
    std::optional<Error> error;
  };

  static double seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }
  // A text on its way to a vector.
  struct Embedding {
    Embedding(EmbeddingRequest asked_in, KvSequence kv_in)
        : asked(std::move(asked_in)), kv(std::move(kv_in)) {}
    EmbeddingRequest asked;
    KvSequence kv;
    std::vector<double> sum{};  // [d_model], of the states pooled so far
  };
  Status check(const GenerationRequest& request) const;
  Status check_prompt(std::span<const TokenId> prompt) const;

  // The loop.
  void run();
  bool take_orders();
  void remove_left();
  void end_everything();
  void publish_gauges();

  // Who runs.
  bool fits(size_t places, size_t n_tokens) const;
  bool resume_set_aside();
  void admit_from_queue();
  void set_aside_resting();
  void set_aside(Sequence& sequence);
  void reap();
  std::unique_ptr<Sequence> remove(const Sequence& sequence);
  bool make_room(Sequence& sequence, size_t n_tokens);
  bool is_running(const Sequence* sequence) const;

  // What is evaluated.
  bool decode_step();
  void add_drafts(std::vector<Planned>& plan);
  bool prefill_pass();
  double work_limit() const;
  void begin_parts(const PassParts& parts);
  void end_part(Clock::time_point now);
  void end_parts();
  void interlude(PassPart next);
  std::vector<Planned> plan_prefill();
  std::vector<Planned> share_out(std::span<Sequence* const> prompts, bool somebody_waits);
  std::pair<const Sequence*, size_t> best_neighbour(const Sequence& sequence) const;
  size_t plan_tokens(const Sequence& sequence, size_t budget) const;
  bool waits_for_neighbour(const Sequence& sequence);
  void start(Sequence& sequence);
  void evaluate(std::span<const Planned> plan, const Interlude& interlude);

  // Embeddings.
  bool embedding_step();
  void finish_embedding(std::optional<Error> error);
  void end_embeddings();

  // What becomes of it.
  void absorb(std::span<const Planned> plan, MatView<const float> logits);
  void note_prompt_logprobs(Sequence& sequence, MatView<const float> rows);
  void remember(const Sequence& sequence, KvSequence kv);
  std::vector<Sequence*> finish_prompt(Sequence& sequence);
  void draw(Draw& draw) const;
  bool draw_one(Draw& draw, std::span<const float> row) const;
  void settle(const Draw& draw);
  void emit(Draw& draw);
  void emit(Sequence& sequence, TokenEvent event);
  void end_choice(Sequence& sequence, EndReason reason);
  void fail_request(Request& request, Error error);
  void finish_request(Request& request, EndReason reason);

  template <class Fn>
  void count(Fn&& fn) {
    const std::lock_guard lock(mutex_);
    fn(metrics_);
  }

  const SchedulerOptions options_;
  const std::unique_ptr<Engine> engine_;
  const std::shared_ptr<Doorbell> doorbell_ = std::make_shared<Doorbell>();
  const std::shared_ptr<std::atomic<size_t>> queued_ = std::make_shared<std::atomic<size_t>>(0);
  std::atomic<size_t> active_{0};  // requests accepted and not ended
  std::atomic<size_t> set_aside_count_{0};

  mutable std::mutex mutex_;  // of what follows, up to the empty line
  FairQueue<std::shared_ptr<Request>> queue_;
  std::deque<EmbeddingRequest> embeddings_;  // waiting
  uint64_t next_serial_ = 0;
  bool draining_ = false;
  bool stopping_ = false;
  std::vector<std::promise<void>> drop_cache_;
  double mean_request_seconds_ = 1;  // of late
  SchedulerMetrics metrics_;

  // The thread's own.
  PrefixCache cache_;
  std::vector<std::unique_ptr<Sequence>> running_;  // in the order they were admitted
  std::list<std::unique_ptr<Sequence>> set_aside_;  // without pages: consumer slow, or memory short
  std::optional<Embedding> embedding_;              // the one under way
  Pace pace_;
  PassCost decode_cost_;
  uint64_t n_passes_ = 0;
  Clock::time_point last_decode_;  // when running streams last got their tokens
  PassParts parts_;                // of the pass under way
  double decode_seconds_ = 0;      // of the longest decode step of late

  std::thread thread_;  // last: runs on everything above
};

}  // namespace atelier
