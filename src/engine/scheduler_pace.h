// How long the parts of a pass will take, and so how many prompt tokens a pass may have, from passes of late.
#pragma once

#include <array>
#include <cstddef>

namespace atelier {

// A pass over prompts can be interrupted before each of its products and before attention, so running streams
// wait for one of these parts at the least. Products are expected to take what they took for as many tokens:
// classes of sizes are kept apart, since small passes read as many weights for fewer tokens. Attention is
// expected to take as long for each pair of a token and a key before it. What took longer than expected
// counts at once, what took less little by little.
class Pace {
 public:
  // `max_tokens`: of a pass when nobody waits; also the most otherwise.
  explicit Pace(size_t max_tokens) : max_tokens_(max_tokens) {}

  static constexpr size_t kMinTokens = 16;  // fewer would read all weights for next to nothing

  size_t max_tokens() const { return max_tokens_; }
  // So many tokens that none of their products is expected to take longer than `seconds`, kMinTokens at
  // least.
  size_t tokens(double seconds) const;
  // So many tokens, of at most `n` of a prompt that has `depth` behind it, that attention is expected to take
  // no longer than `seconds`, kMinTokens at least.
  size_t tokens_at(size_t depth, size_t n, double seconds) const;

  // The longest product of a pass over `n` tokens; 0 as long as nothing is known.
  double product_seconds(size_t n) const;
  // Attention of a layer over `n` tokens of a prompt that has `depth` behind it; 0 as long as nothing is
  // known.
  double attention_seconds(size_t n, size_t depth) const { return pair_seconds_ * pairs(n, depth); }
  double pair_seconds() const { return pair_seconds_; }

  // Pairs of a token and a key it looks at, in a layer without a window.
  static double pairs(size_t n, size_t depth) {
    return static_cast<double>(n) * (static_cast<double>(depth) + 0.5 * static_cast<double>(n));
  }

  // A pass of `n` tokens that looked at `n_pairs`: its longest product and its longest attention.
  void passed(size_t n, double product_seconds, double n_pairs, double attention_seconds);

 private:
  // Tokens from a power of two up to the next.
  struct SizeClass {
    size_t n = 0;  // tokens of the pass that was seen last; 0: none
    double seconds = 0;
    double seconds_of(size_t tokens) const {
      return seconds * static_cast<double>(tokens) / static_cast<double>(n);
    }
  };
  static constexpr size_t kClasses = 24;

  size_t max_tokens_;
  std::array<SizeClass, kClasses> classes_{};
  double pair_seconds_ = 0;
};

}  // namespace atelier
