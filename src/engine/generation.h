// A request to the scheduler, and the stream of events that answers it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"
#include "engine/token_filter.h"
#include "text/tokenizer.h"

namespace atelier {

struct GenerationRequest {
  std::vector<TokenId> prompt;  // at least one token
  SamplerOptions sampler;       // choice i > 0 draws with a seed derived from sampler.seed and i
  std::vector<TokenId> stop_tokens;
  size_t max_tokens =
      SIZE_MAX;  // sampled tokens per choice; the context's end comes first where it is nearer
  size_t n = 1;  // choices, at most SchedulerOptions::max_choices
  // Log-probabilities of sampled tokens: none; of the token itself and of the k likeliest (0 for itself
  // only).
  std::optional<size_t> top_logprobs;
  // The same for every prompt token but the first (completions with echo), in PromptEvent. Nothing is taken
  // from the prefix cache then.
  bool prompt_logprobs = false;
  std::unique_ptr<TokenFilter> filter;  // may be null
  // Requests of different keys take turns: an API key, a client's address. Within a key first come, first
  // served.
  std::string fairness_key;
  // Prompt lengths after which a message ends, ascending. Models with sliding windows can only resume where a
  // checkpoint was kept: these are the places. The prompt's end and the turn's end are always kept.
  std::vector<size_t> boundaries;
  // Text that the answer is likely to repeat (a file to be edited): it is guessed from, beside the prompt.
  // Guesses change how fast the answer comes, never what it says.
  std::vector<TokenId> prediction{};
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob =
      0;  // natural logarithm, of the model's own distribution: before penalties, bias, temperature
};

struct Usage {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;      // of these, found in the prefix cache
  size_t completion_tokens = 0;  // sampled, all choices, stop tokens included
  size_t drafted_tokens = 0;     // guessed and evaluated along with sampled ones
  size_t accepted_tokens = 0;    // of these, the ones that were then sampled
};

struct Timings {
  double queue_seconds = 0;    // until the first chunk of the prompt was begun
  double prefill_seconds = 0;  // from there to the first token
  double decode_seconds = 0;   // from there to the last
};

enum class EndReason {
  kStop,       // a stop token, or the filter said so
  kLength,     // max_tokens, or the end of the context
  kCancelled,  // by the consumer
  kError,      // GenerationEnd::error says which
};
std::string_view end_reason_name(EndReason reason);

// The events of one request, in this order: PromptEvent; for each choice TokenEvent … ChoiceEnd, choices
// interleaved; GenerationEnd. A request that fails or is cancelled ends with the ChoiceEnd of every choice
// and GenerationEnd at any point.
struct PromptEvent {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;
  struct Entry {
    TokenLogprob token;
    std::vector<TokenLogprob> top;  // likeliest first
  };
  std::vector<Entry> logprobs;  // [prompt_tokens - 1] where asked for: of prompt[1], prompt[2], …
};
struct TokenEvent {
  size_t choice = 0;
  TokenId token = 0;
  bool is_stop = false;           // one of the request's stop tokens: the last of its choice
  float logprob = 0;              // 0 unless asked for
  std::vector<TokenLogprob> top;  // likeliest first
};
struct ChoiceEnd {
  size_t choice = 0;
  EndReason reason = EndReason::kStop;
};
struct GenerationEnd {
  std::optional<Error> error;
  Usage usage;
  Timings timings;
};
using GenerationEvent = std::variant<PromptEvent, TokenEvent, ChoiceEnd, GenerationEnd>;

// What the consumer holds of its request; thread-safe. Dropping the last handle cancels the request.
//
// Back-pressure: a stream keeps at most SchedulerOptions::stream_events events. While it is full its request
// rests, and nobody else's; it goes on when half of them are taken.
class GenerationStream {
 public:
  struct Shared;  // what scheduler and consumer share
  explicit GenerationStream(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~GenerationStream();
  GenerationStream(const GenerationStream&) = delete;
  GenerationStream& operator=(const GenerationStream&) = delete;

  // The next event if there is one now. Nothing comes after GenerationEnd.
  std::optional<GenerationEvent> try_next();
  // Waits for it. Nothing only after GenerationEnd was taken.
  std::optional<GenerationEvent> next();
  // Calls `ready` once, as soon as an event is waiting: in this call if one is, else later on the scheduler's
  // thread, where it must not block (post to your executor). A new call replaces the last one; null withdraws
  // it, and then it is not running any more either when this returns.
  void when_ready(std::function<void()> ready);

  // Ends the request before its next step; GenerationEnd still comes, soon. cancel(choice) ends one choice.
  void cancel();
  void cancel(size_t choice);

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace atelier
