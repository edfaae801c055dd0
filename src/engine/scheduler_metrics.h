// What the scheduler counts, as /metrics wants it: monotonous counters, gauges and histograms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace atelier {

// Counts per bucket: counts[i] holds values <= bounds[i] (and above bounds[i - 1]), the last one all others.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {}
  void add(double value);

  std::span<const double> bounds() const { return bounds_; }    // ascending upper bounds
  std::span<const uint64_t> counts() const { return counts_; }  // [bounds + 1], not cumulated
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  double sum_ = 0;
};

struct SchedulerMetrics {
  SchedulerMetrics();

  // Counters since the start.
  uint64_t requests = 0;           // accepted
  uint64_t refused = 0;            // kOverloaded
  uint64_t finished = 0;           // requests that ended by themselves
  uint64_t cancelled = 0;          // by their consumer
  uint64_t failed = 0;             // with an error
  uint64_t prompt_tokens = 0;      // of requests whose prompt is done
  uint64_t cached_tokens = 0;      // of these, found in the prefix cache
  uint64_t prefill_tokens = 0;     // computed, recomputation after preemption included
  uint64_t completion_tokens = 0;  // sampled
  uint64_t drafted_tokens = 0;     // guessed and evaluated along with sampled ones
  uint64_t accepted_tokens = 0;    // of these, the ones that were then sampled
  uint64_t steps = 0;              // passes
  uint64_t decode_steps = 0;       // of them, those that gave running streams their tokens
  uint64_t preemptions = 0;        // sequences that gave up their pages and were computed again
  uint64_t cache_evictions = 0;    // entries the prefix cache let go

  // Gauges.
  size_t queued = 0;     // requests
  size_t running = 0;    // sequences with a place
  size_t set_aside = 0;  // sequences that lost theirs: consumer slow, or memory short
  size_t resting = 0;    // of both, those whose consumer is slow
  size_t cache_entries = 0;
  uint64_t cache_bytes = 0;      // KV pages the prefix cache refers to
  uint64_t kv_bytes_in_use = 0;  // of all sequences and the cache
  uint64_t kv_bytes_limit = 0;
  double prefill_tokens_per_second = 0;  // of late

  // Seconds.
  Histogram queue_seconds;
  Histogram first_token_seconds;    // from submit
  Histogram between_token_seconds;  // of one choice
  Histogram request_seconds;        // from submit to GenerationEnd
};

}  // namespace atelier
