// From logits to a token. The same options, seed and logits always give the same token.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/repetition.h"
#include "text/tokenizer.h"

namespace atelier {

inline constexpr size_t kMaxDryBreakers = 64;
inline constexpr size_t kMaxDryBreakerBytes = 256;  // of one

// Applied in this order: penalties, DRY and bias on the logits, temperature, then the cuts from widest to
// narrowest (top-k, top-p, min-p, typical), XTC, then the draw. docs/sampling.md says what each is good for.
struct SamplerOptions {
  static constexpr size_t kAllTokens = std::numeric_limits<size_t>::max();

  float repetition_penalty =
      1.0f;  // divides positive, multiplies negative logits of tokens seen (CTRL, arXiv 1909.05858)
  float presence_penalty = 0.0f;       // subtracted once from tokens seen
  float frequency_penalty = 0.0f;      // subtracted per occurrence
  size_t penalty_window = kAllTokens;  // how many of the last tokens count as seen

  // DRY (oobabooga/text-generation-webui, pull request 5677): a token that would continue a repetition of
  // n ≥ allowed_length tokens loses multiplier · base^(n − allowed_length).
  float dry_multiplier = 0.0f;  // 0: off
  float dry_base = 1.75f;
  size_t dry_allowed_length = 2;
  size_t dry_window = kAllTokens;  // how many of the last tokens are looked at
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};  // repetitions do not reach over these

  std::map<TokenId, float> logit_bias;

  float temperature = 1.0f;  // 0: greedy
  size_t top_k = 0;          // 0: off
  float top_p = 1.0f;        // the smallest set of tokens whose probability reaches this
  float min_p = 0.0f;        // tokens at least this likely relative to the likeliest
  float typical_p = 1.0f;    // locally typical sampling (arXiv 2202.00666)

  // XTC (oobabooga/text-generation-webui, pull request 6335): of the tokens at least this likely, all but the
  // least likely are left out, now and then.
  float xtc_probability = 0.0f;  // 0: never
  float xtc_threshold = 0.1f;    // of what the cuts have left

  // Mirostat 2 (arXiv 2007.14966) instead of all cuts and XTC: tokens more surprising than μ are left out,
  // and μ goes where a surprise of tau bits takes it. μ starts anew with step 0, and with a Sampler.
  bool mirostat = false;
  float mirostat_tau = 5.0f;  // bits
  float mirostat_eta = 0.1f;  // how fast μ moves

  uint64_t seed = 0;
};

// Errors name the option, the allowed range and the value found.
Status check_sampler_options(const SamplerOptions& options);

class Sampler {
 public:
  // `tokenizer` tells DRY where its breakers are; without one there are none.
  explicit Sampler(SamplerOptions options, const Tokenizer* tokenizer = nullptr)
      : options_(std::move(options)), tokenizer_(tokenizer) {}
  const SamplerOptions& options() const { return options_; }

  // logits: [vocab_size]; `seen`: the sequence so far, for penalties. `step` numbers the draws of one
  // generation: a draw depends on (seed, step) only, so a generation can be resumed or replayed from any
  // point. Mirostat's alone depends on the draws before it, which have to be made in order.
  // `allowed`: the only ids that may be drawn (ascending, not empty), where something constrains the next
  // token.
  TokenId sample(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                 std::optional<std::span<const TokenId>> allowed = std::nullopt);
  // The same with the ids that may be drawn as a bit each: id i is bit i % 64 of word i / 64. At least one is
  // set, none past the vocabulary.
  TokenId sample_masked(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                        std::span<const uint64_t> mask);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    float probability;
  };
  bool changes_logits() const;
  void change_logits(std::span<const TokenId> seen);
  void forbid_all_but(std::span<const TokenId> allowed);
  void penalise(std::span<const TokenId> seen);
  void penalise_repetitions(std::span<const TokenId> seen);
  void add_bias();
  TokenId choose(uint64_t step);
  void keep_top_k();
  void soften();
  void sort_until(float mass);
  void keep_top_p();
  void keep_min_p();
  void keep_typical();
  void exclude_top(uint64_t step);
  TokenId draw_mirostat(uint64_t step);
  const Candidate& draw(uint64_t step) const;

  SamplerOptions options_;
  const Tokenizer* tokenizer_;
  std::optional<double> mu_;  // mirostat's; bits
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> counts_;
  RepetitionFinder repetitions_;
  std::vector<Continuation> continuations_;
};

// The index of the largest logit; the lowest of equals.
TokenId greedy_token(std::span<const float> logits);

}  // namespace atelier
