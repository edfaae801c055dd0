// A text as a vector: what Scheduler::embed is asked for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace atelier {

enum class Pooling : uint8_t {
  kMean,  // of the final states of all tokens
  kLast,  // the final state of the last token, as embedding models made of decoders are trained
};

struct EmbeddingRequest {
  std::vector<TokenId> tokens;  // at least one
  Pooling pooling = Pooling::kMean;
  // Called once, on the scheduler's thread, where it must not block: the pooled state, [d_model], of
  // length 1.
  std::function<void(Result<std::vector<float>>)> ready;
  // Set by whoever does not want it any more; `ready` is called all the same, with kInterrupted.
  std::shared_ptr<const std::atomic<bool>> cancelled = nullptr;
};

}  // namespace atelier
