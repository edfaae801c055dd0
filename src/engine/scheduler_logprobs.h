// Log-probabilities of tokens, as the model gave them.
#pragma once

#include <span>
#include <vector>

#include "engine/generation.h"

namespace atelier {

struct TokenLogprobs {
  TokenLogprob own;               // of the token asked about
  std::vector<TokenLogprob> top;  // the k likeliest, likeliest first; the lower id first among equals
};

// log softmax(logits) at `token`, and the `k` largest. logits: [vocab_size].
TokenLogprobs token_logprobs(std::span<const float> logits, TokenId token, size_t k);

}  // namespace atelier
