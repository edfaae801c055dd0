#include "engine/draft_plan.h"

#include <algorithm>

namespace atelier {
namespace {

constexpr double kKeptOfSums = 0.98;  // of the sums, from pass to pass: the last fifty count
// A row's share of a pass of one row while only one number of rows was seen: a memory-bound dense model's.
constexpr double kAssumedShare = 0.1;
// Guesses less likely than this are not worth their rows whatever the clock says: it may be wrong.
constexpr double kLeastGain = 0.05;

}  // namespace

PassCost::PassCost(std::optional<double> row_cost) : fixed_(row_cost.has_value()) {
  per_row_ = row_cost.value_or(0);
  base_ = 1 - per_row_;
}

void PassCost::passed(size_t rows, double seconds) {
  if (fixed_) return;
  const auto r = static_cast<double>(rows);
  weight_ = weight_ * kKeptOfSums + 1;
  rows_ = rows_ * kKeptOfSums + r;
  squares_ = squares_ * kKeptOfSums + r * r;
  seconds_ = seconds_ * kKeptOfSums + seconds;
  products_ = products_ * kKeptOfSums + r * seconds;
  const double mean_rows = rows_ / weight_, mean_seconds = seconds_ / weight_;
  const double variance = squares_ / weight_ - mean_rows * mean_rows;
  const double slope = (products_ / weight_ - mean_rows * mean_seconds) / std::max(variance, 1e-9);
  constexpr double kSpread = 0.05;  // of rows, that makes a slope worth believing
  const double assumed = mean_seconds * kAssumedShare / (1 + kAssumedShare * (mean_rows - 1));
  per_row_ = variance < kSpread ? assumed : std::clamp(slope, 0.0, mean_seconds / std::max(mean_rows, 1.0));
  base_ = mean_seconds - per_row_ * mean_rows;
}

std::vector<size_t> plan_drafts(std::span<const Drafter* const> drafters, std::span<const size_t> limits,
                                const PassCost& cost, const DraftOptions& options) {
  struct Candidate {
    size_t sequence;
    std::span<const TokenId> guess;
    double reached = 1;  // the probability that all guesses taken so far are right
    size_t taken = 0;
  };
  std::vector<size_t> lengths(drafters.size(), 0);
  std::vector<Candidate> open;
  for (size_t i = 0; i < drafters.size(); ++i) {
    if (drafters[i] == nullptr) continue;
    const auto guess = drafters[i]->guess(std::min(options.max_tokens, limits[i]));
    if (!guess.empty()) open.push_back({i, guess});
  }
  size_t rows = drafters.size();
  double tokens = static_cast<double>(rows);  // expected from the pass
  while (options.enabled && rows < options.max_rows) {
    Candidate* best = nullptr;
    double gain = kLeastGain;
    for (Candidate& candidate : open) {
      if (candidate.taken == candidate.guess.size()) continue;
      const double next = candidate.reached * drafters[candidate.sequence]->confidence(candidate.taken);
      if (next > gain) gain = next, best = &candidate;
    }
    if (best == nullptr) break;
    const double without = tokens / cost.seconds(static_cast<double>(rows));
    const double with = (tokens + gain) / cost.seconds(static_cast<double>(rows + 1));
    if (cost.known() && with <= without) break;
    best->reached = gain;
    lengths[best->sequence] = ++best->taken;
    tokens += gain;
    ++rows;
  }
  return lengths;
}

}  // namespace atelier
