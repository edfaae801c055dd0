// How many guessed tokens are worth evaluating along with the next one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "engine/drafter.h"

namespace atelier {

struct DraftOptions {
  bool enabled = true;
  size_t max_tokens = 16;  // guessed, of one sequence in one pass; less than a page of the KV cache
  size_t max_rows = 32;    // of all sequences in one pass, the tokens that are no guesses included
  // What one more row costs, as a share of a pass of one row. Unset: as measured while running.
  std::optional<double> row_cost{};
};

// What a pass costs, as a straight line over its rows, from how long passes took of late. Reading the weights
// is most of it at the left end, so that further rows are cheap; where experts or arithmetic bound a pass
// they are not.
class PassCost {
 public:
  explicit PassCost(std::optional<double> row_cost = {});
  // A pass of decoding with `rows` tokens took so long.
  void passed(size_t rows, double seconds);
  double seconds(double rows) const { return base_ + per_row_ * rows; }
  double seconds_per_row() const { return per_row_; }
  bool known() const { return fixed_ || weight_ > 0; }

 private:
  bool fixed_ = false;
  double weight_ = 0, rows_ = 0, squares_ = 0, seconds_ = 0, products_ = 0;  // decayed sums for the line
  double base_ = 0, per_row_ = 0;
};

// For a pass that evaluates one token of each sequence: how many guesses to add for each. `drafters[i]` may
// be null and `limits[i]` bounds the sequence (what is left of its context and of what was asked for).
// Guesses are added, the likeliest first, as long as one more is expected to give tokens faster than the pass
// does without it; so nothing is added where guesses are bad or rows expensive.
std::vector<size_t> plan_drafts(std::span<const Drafter* const> drafters, std::span<const size_t> limits,
                                const PassCost& cost, const DraftOptions& options);

}  // namespace atelier
