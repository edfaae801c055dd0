// From logits to a token. The same options, seed and logits always give the same token.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace atelier {

// Applied in this order, that of Hugging Face's generation and of the OpenAI API's wording: penalties and
// bias on the logits, temperature, then the cuts from widest to narrowest, then the draw.
struct SamplerOptions {
  float repetition_penalty =
      1.0f;  // divides positive, multiplies negative logits of tokens seen (CTRL, arXiv 1909.05858)
  float presence_penalty = 0.0f;   // subtracted once from tokens seen
  float frequency_penalty = 0.0f;  // subtracted per occurrence
  size_t penalty_window = 0;       // how many of the last tokens count as seen; 0: all that were given
  std::map<TokenId, float> logit_bias;

  float temperature = 1.0f;  // 0: greedy
  size_t top_k = 0;          // 0: off
  float top_p = 1.0f;        // the smallest set of tokens whose probability reaches this
  float min_p = 0.0f;        // tokens at least this likely relative to the likeliest
  float typical_p = 1.0f;    // locally typical sampling (arXiv 2202.00666)
  uint64_t seed = 0;
};

// Errors name the option, the allowed range and the value found.
Status check_sampler_options(const SamplerOptions& options);

class Sampler {
 public:
  explicit Sampler(SamplerOptions options) : options_(std::move(options)) {}
  const SamplerOptions& options() const { return options_; }

  // logits: [vocab_size]; `seen`: the sequence so far, for penalties. `step` numbers the draws of one
  // generation: a draw depends on (seed, step) only, so a generation can be resumed or replayed from any
  // point.
  // `allowed`: the only ids that may be drawn (ascending, not empty), where something constrains the next
  // token.
  TokenId sample(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                 std::optional<std::span<const TokenId>> allowed = std::nullopt);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    float probability;
  };
  void forbid_all_but(std::span<const TokenId> allowed);
  void penalise(std::span<const TokenId> seen);
  void keep_top_k();
  void soften();
  void sort_until(float mass);
  void keep_top_p();
  void keep_min_p();
  void keep_typical();
  TokenId draw(uint64_t step) const;

  SamplerOptions options_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> counts_;
};

// The index of the largest logit; the lowest of equals.
TokenId greedy_token(std::span<const float> logits);

}  // namespace atelier
