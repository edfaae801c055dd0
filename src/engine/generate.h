// Sampling tokens until something says stop.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampler.h"
#include "engine/session.h"

namespace atelier {

enum class StopReason {
  kStopToken,
  kStopString,
  kMaxTokens,
  kContextFull,
  kInterrupted,
};
std::string_view stop_reason_name(StopReason reason);

struct GenerateOptions {
  SamplerOptions sampler;
  size_t max_tokens = SIZE_MAX;
  std::vector<TokenId>
      stop_tokens;  // end the generation; the token that did is the last of `Generated::tokens`
  const std::atomic<bool>* cancel = nullptr;  // looked at between tokens
  std::function<void(size_t done, size_t total)> on_prefill = {};
  // The only ids that may come next (ascending), or nothing where any may; asked before each draw.
  std::function<std::optional<std::span<const TokenId>>()> allowed = {};
  // Sees every token that is no stop token; returning false ends the generation (kStopString).
  std::function<bool(TokenId)> on_token = {};
};

struct Generated {
  std::vector<TokenId> tokens;  // sampled ones, in order
  StopReason reason = StopReason::kMaxTokens;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  LookaheadCounts lookahead;  // of decoding
};

// Prefills `prompt` in the session and samples on from there. The session then holds prompt and sampled
// tokens, except the last one, which nobody has needed to evaluate yet.
Result<Generated> generate(Session& session, std::span<const TokenId> prompt, const GenerateOptions& options);

// Text as it becomes complete, up to the first stop string: what could still be the start of one is held
// back.
class StopStringFilter {
 public:
  explicit StopStringFilter(std::vector<std::string> stops);
  // Text that may be shown now. After a stop string was found, stopped() is true and the rest is dropped.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, once no more text comes
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace atelier
