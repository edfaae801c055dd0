// How well a model predicts a text.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>

#include "engine/engine.h"

namespace atelier {

struct PerplexityOptions {
  size_t context = 512;  // tokens of one window; ≥ 2
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(size_t done, size_t total)> on_window = {};
  // Another engine with the same vocabulary: its distributions are compared with at every scored token.
  Engine* reference = nullptr;
};

// How far an engine's distributions are from a reference's, over the scored tokens.
struct Divergence {
  double mean_kl = 0;  // of KL(reference ‖ engine), in nats
  double max_kl = 0;
  double top1 = 0;  // share of tokens at which both find the same one likeliest
};

struct Perplexity {
  double perplexity = 0;                 // exp(nll)
  double nll = 0;                        // mean of −ln p over the scored tokens
  size_t tokens = 0;                     // scored tokens
  std::optional<Divergence> divergence;  // where a reference was given
};

// The text is cut into windows of `context` tokens, each evaluated on its own; the tokens of a window's
// second half are scored, so that each has at least half a window before it; what is left after the last
// whole window is dropped. Where the tokenizer wants a BOS, it takes the place of each window's first token.
// This is llama.cpp's way, so that figures compare. A text shorter than one window is one window. Errors:
// kInvalidArgument for fewer than 2 tokens, kInterrupted, those of Engine::evaluate.
Result<Perplexity> measure_perplexity(Engine& engine, std::span<const TokenId> tokens,
                                      const PerplexityOptions& options);

}  // namespace atelier
