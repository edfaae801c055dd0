#include "engine/scheduler_pace.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace atelier {
namespace {

// Of what was seen, in an expectation that was too long: the last ten passes or so count.
constexpr double kShare = 0.25;
// Tokens of a larger pass cost no more than those of a smaller one, but for what falls out of the caches.
constexpr double kCachesLost = 1.25;
// Fewer pairs say more about how long it takes to start threads than about attention.
constexpr double kTellingPairs = 16384;

// Too long counts at once, too short little by little.
double revised(double expected, double seen) {
  return seen >= expected ? seen : expected + kShare * (seen - expected);
}

size_t class_of(size_t n) { return static_cast<size_t>(std::bit_width(n)) - 1; }

}  // namespace

double Pace::product_seconds(size_t n) const {
  if (n == 0) return 0;
  const size_t own = std::min(class_of(n), kClasses - 1);
  size_t below = own, above = own + 1;
  while (below > 0 && classes_[below - 1].n == 0) --below;
  while (above < kClasses && classes_[above].n == 0) ++above;
  const SizeClass* smaller = below > 0 ? &classes_[below - 1] : nullptr;
  const SizeClass* larger = above < kClasses ? &classes_[above] : nullptr;
  if (classes_[own].n > 0) {
    // One slow pass does not keep its class from being tried again.
    const double seconds = classes_[own].seconds_of(n);
    return smaller ? std::min(seconds, kCachesLost * smaller->seconds_of(n)) : seconds;
  }
  if (smaller && larger) return std::min(smaller->seconds_of(n), larger->seconds);
  if (smaller) return smaller->seconds_of(n);
  // Between as long as the larger one, when reading weights is all, and in proportion.
  if (larger) return std::sqrt(larger->seconds * larger->seconds_of(n));
  return 0;
}

size_t Pace::tokens(double seconds) const {
  size_t n = max_tokens_;
  while (n > kMinTokens && product_seconds(n) > seconds) n -= std::min(kMinTokens, n - kMinTokens);
  return n;
}

size_t Pace::tokens_at(size_t depth, size_t n, double seconds) const {
  if (attention_seconds(n, depth) <= seconds) return n;
  // n · (depth + n / 2) = pairs
  const auto behind = static_cast<double>(depth);
  const double fitting = std::sqrt(behind * behind + 2 * seconds / pair_seconds_) - behind;
  return std::min(n, std::max(kMinTokens, static_cast<size_t>(fitting)));
}

void Pace::passed(size_t n, double product_seconds, double n_pairs, double attention_seconds) {
  if (n == 0) return;
  SizeClass& own = classes_[std::min(class_of(n), kClasses - 1)];
  own.seconds = own.n > 0 ? revised(own.seconds_of(n), product_seconds) : product_seconds;
  own.n = n;
  if (n_pairs >= kTellingPairs) pair_seconds_ = revised(pair_seconds_, attention_seconds / n_pairs);
}

}  // namespace atelier
