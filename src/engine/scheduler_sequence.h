// What the scheduler's thread knows of a request and of each sequence it evaluates for it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/drafter.h"
#include "engine/generation.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "engine/scheduler_stream.h"

namespace atelier {

using SchedulerClock = std::chrono::steady_clock;

struct ScheduledRequest {
  GenerationRequest asked;  // its prompt and filter move to the first sequence when that is made
  std::shared_ptr<GenerationStream::Shared> stream;
  uint64_t serial = 0;  // requests in the order they came
  size_t open_choices = 0;
  bool prompt_done = false;  // its choices are sequences of their own from here on
  Usage usage;
  std::optional<Error> error;
  std::vector<PromptEvent::Entry> prompt_logprobs;
  SchedulerClock::time_point submitted;
  std::optional<SchedulerClock::time_point> started, first_token, last_token;
};

// One choice of a request. `kv` holds the first kv.length() of `tokens`; the others wait to be evaluated: the
// rest of the prompt, the token sampled last, or everything after pages had to be given up.
struct ScheduledSequence {
  ScheduledSequence(std::shared_ptr<ScheduledRequest> request_in, size_t choice_in, KvSequence kv_in,
                    const Tokenizer* tokenizer)
      : request(std::move(request_in)),
        choice(choice_in),
        kv(std::move(kv_in)),
        sampler(options_of(request->asked.sampler, choice_in), tokenizer) {}

  std::shared_ptr<ScheduledRequest> request;
  size_t choice;
  std::vector<TokenId> tokens;
  size_t n_prompt = 0;
  KvSequence kv;
  Sampler sampler;
  std::unique_ptr<TokenFilter> filter;
  std::vector<uint64_t> mask;
  std::unique_ptr<Drafter> drafter;  // once it decodes, if tokens are guessed at all
  std::vector<TokenId> draft;        // the token sampled last and guesses, while they are evaluated together
  std::vector<size_t> checkpoints;   // ascending lengths at which the prefix cache wants a copy
  bool started = false;              // the prefix cache was asked
  bool in_pass = false;              // its pages are being written to
  std::optional<SchedulerClock::time_point> last_token;

  // Greater for those that came later.
  std::pair<uint64_t, size_t> age() const { return {request->serial, choice}; }
  size_t pending() const { return tokens.size() - kv.length(); }
  size_t n_sampled() const { return tokens.size() - n_prompt; }
  // One step gives the next token, as opposed to a prompt that comes first.
  bool decoding() const { return started && pending() == 1 && n_sampled() > 0; }
  // Sequences this one stands for: itself, or all choices while they share the prompt.
  size_t places() const { return request->prompt_done ? 1 : request->asked.n; }
  bool cancelled() const {
    return request->prompt_done ? request->stream->is_cancelled(choice) : request->stream->is_cancelled();
  }

 private:
  static SamplerOptions options_of(SamplerOptions options, size_t choice) {
    options.seed += choice * 0x9e3779b97f4a7c15;  // 2^64 by the golden ratio: far from seeds people choose
    return options;
  }
};

}  // namespace atelier
