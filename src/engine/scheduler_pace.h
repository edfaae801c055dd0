// How many prompt tokens one pass may take, from how long passes took.
#pragma once

#include <algorithm>
#include <cstddef>

namespace atelier {

// A pass over a prompt can be interrupted once a layer, so running streams wait for one layer of it at the
// least. The number of tokens is chosen so that a layer takes no longer than streams may be kept waiting.
class Pace {
 public:
  // `max_tokens`: of a pass when nobody waits; also the most otherwise.
  Pace(double max_stall_seconds, size_t max_tokens)
      : max_stall_seconds_(max_stall_seconds), max_tokens_(max_tokens), tokens_(max_tokens) {}

  static constexpr size_t kMinTokens = 16;  // fewer would read all weights for next to nothing

  size_t tokens(bool somebody_waits) const { return somebody_waits ? tokens_ : max_tokens_; }

  // A pass of `n` tokens could at the longest not be interrupted for `gap_seconds`.
  void passed(size_t n, double gap_seconds) {
    if (gap_seconds > max_stall_seconds_) {
      const double fitting = static_cast<double>(n) * max_stall_seconds_ / gap_seconds;
      tokens_ = std::clamp(static_cast<size_t>(fitting), std::min(kMinTokens, max_tokens_), tokens_);
    } else if (n >= tokens_) {
      tokens_ = std::min(max_tokens_, tokens_ + tokens_ / 4 + 1);  // it fitted: try a little more
    }
  }

 private:
  double max_stall_seconds_;
  size_t max_tokens_;
  size_t tokens_;
};

}  // namespace atelier
