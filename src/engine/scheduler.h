// Serves any number of requests on one engine: continuous batching, chunked prefill, shared prefixes.
//
// One worker thread owns the engine. Each of its steps evaluates one token of every running sequence and at
// most one chunk of prompts, sampled tokens go to the streams of their requests, and between steps requests
// come, go and are cancelled. docs/engine.md describes the policy.
//
// The tokens of a request depend on its prompt, options and seed only: not on neighbours, chunks, cache hits,
// preemption or threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/embedding.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/scheduler_metrics.h"

namespace atelier {

struct SchedulerOptions {
  size_t max_running = 16;              // sequences evaluated at a time; n choices count n times
  size_t max_queued = 64;               // requests waiting for a place; more are refused with kOverloaded
  size_t max_queued_embeddings = 4096;  // texts waiting to be embedded; more are refused with kOverloaded
  size_t max_choices = 8;               // GenerationRequest::n
  size_t stream_events = 256;           // events a consumer may leave lying before its request rests
  // Work on prompts between two tokens of a running stream, as measured; fewer tokens are taken where the
  // machine is slow.
  std::chrono::milliseconds max_stall{250};
  uint64_t prefix_cache_bytes = uint64_t{4} << 30;  // of KV pages the prefix cache refers to; 0: no cache
  size_t checkpoint_spacing = 256;  // tokens that at least lie between two checkpoints inside one prompt
};

class Scheduler {
 public:
  Scheduler(std::unique_ptr<Engine> engine, const SchedulerOptions& options);
  // Cancels what is running and queued and ends the thread; streams get their GenerationEnd.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Thread-safe, never waits for a step. Errors, at once and before anything is queued: kInvalidArgument
  // (empty prompt, ids outside the vocabulary, sampler options, boundaries not ascending), kLimit (prompt
  // longer than the context, n, top_logprobs), kOutOfMemory (the KV cache could not hold the prompt
  // even alone; says needed and available), kOverloaded (queue full: try again after retry_after()),
  // kInterrupted (draining).
  Result<std::unique_ptr<GenerationStream>> submit(GenerationRequest request);

  // Queues a text; request.ready gets its vector, or an error. Errors of the call itself: those of submit();
  // kUnsupported for scripted models.
  Status embed(EmbeddingRequest request);

  // How long a refused client should wait: the queue's length by the pace of late, at least one second.
  std::chrono::seconds retry_after() const;

  // No new requests from here on; those accepted are finished.
  void drain();
  bool idle() const;  // nothing queued or running

  // The prefix cache gives up all it holds, before the next step: memory for somebody else. The future is
  // ready when it is done.
  std::future<void> drop_prefix_cache();

  SchedulerMetrics metrics() const;

  // For what does not change: info(), card(), tokenizer(), options().
  const Engine& engine() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace atelier
