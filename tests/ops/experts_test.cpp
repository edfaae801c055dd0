#include "ops/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace atelier::ops {
namespace {

MatView<const uint32_t> view(const std::vector<uint32_t>& values, size_t cols) {
  return {values.data(), values.size() / cols, cols};
}

TEST(Experts, SlotsOfAnExpertStandSideBySideInTokenOrder) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFast);
  // Five tokens, two experts each; expert 1 is nobody's.
  const std::vector<uint32_t> chosen = {3, 0, 0, 2, 3, 2, 0, 3, 2, 0};
  const ExpertGroups groups = group_by_expert(ctx, view(chosen, 2), 4);
  ASSERT_EQ(groups.groups.size(), 3u);
  EXPECT_EQ(groups.groups[0].expert, 0u);
  EXPECT_EQ(groups.groups[1].expert, 2u);
  EXPECT_EQ(groups.groups[2].expert, 3u);
  const auto rows = [&](size_t g) {
    const auto span = groups.rows_of(groups.groups[g]);
    return std::vector<uint32_t>(span.begin(), span.end());
  };
  EXPECT_EQ(rows(0), (std::vector<uint32_t>{0, 1, 3, 4}));
  EXPECT_EQ(rows(1), (std::vector<uint32_t>{1, 2, 4}));
  EXPECT_EQ(rows(2), (std::vector<uint32_t>{0, 2, 3}));
  std::set<uint32_t> seen;
  for (size_t m = 0; m < 5; ++m)
    for (size_t j = 0; j < 2; ++j) {
      const uint32_t slot = groups.slot_of.row(m)[j];
      EXPECT_TRUE(seen.insert(slot).second);
      EXPECT_EQ(groups.rows[slot], m);
      bool inside = false;
      for (const auto& group : groups.groups)
        inside |= group.expert == chosen[2 * m + j] && slot >= group.first_slot &&
                  slot < group.first_slot + group.n_slots;
      EXPECT_TRUE(inside);
    }
  EXPECT_EQ(groups.slots_of(groups.groups[1]).front(), groups.groups[1].first_slot);
}

TEST(Experts, NoTokensMakeNoGroups) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFast);
  EXPECT_TRUE(group_by_expert(ctx, MatView<const uint32_t>(nullptr, 0, 4), 8).groups.empty());
}

std::vector<float> summed(Numerics numerics, size_t n_threads, size_t first, size_t n, size_t cols,
                          const std::vector<uint32_t>& all_chosen, size_t k, size_t n_experts) {
  ThreadPool pool(n_threads);
  Context ctx(pool, numerics);
  const std::vector<uint32_t> chosen(all_chosen.begin() + static_cast<ptrdiff_t>(first * k),
                                     all_chosen.begin() + static_cast<ptrdiff_t>((first + n) * k));
  const ExpertGroups groups = group_by_expert(ctx, view(chosen, k), n_experts);
  std::vector<float> x(n * cols), y(n * k * cols), weights(n * k);
  for (size_t m = 0; m < n; ++m) {
    for (size_t c = 0; c < cols; ++c) x[m * cols + c] = std::sin(static_cast<float>((first + m) * 7 + c));
    for (size_t j = 0; j < k; ++j) {
      weights[m * k + j] = 1.0f / static_cast<float>(2 + j + (first + m) % 3);
      for (size_t c = 0; c < cols; ++c)  // what expert `chosen` makes of token m
        y[groups.slot_of.row(m)[j] * cols + c] =
            std::cos(static_cast<float>((first + m) * 13 + chosen[m * k + j] * 5 + c));
    }
  }
  add_experts(ctx, {x.data(), n, cols}, {y.data(), n * k, cols}, groups.slot_of, {weights.data(), n, k});
  return x;
}

TEST(Experts, SumsFollowTheDefinitionWhateverTheGrouping) {
  constexpr size_t kTokens = 70, kCols = 37, kActive = 3, kExperts = 9;
  std::vector<uint32_t> chosen;
  for (size_t m = 0; m < kTokens; ++m)
    for (size_t j = 0; j < kActive; ++j) chosen.push_back(static_cast<uint32_t>((m * 4 + j * 2) % kExperts));
  for (const Numerics numerics : {Numerics::kReference, Numerics::kFast}) {
    const std::vector<float> all = summed(numerics, 2, 0, kTokens, kCols, chosen, kActive, kExperts);
    for (size_t m = 0; m < kTokens; ++m) {
      // One token at a time: other neighbours, other slots, the same bits.
      const std::vector<float> one = summed(numerics, 1, m, 1, kCols, chosen, kActive, kExperts);
      for (size_t c = 0; c < kCols; ++c) {
        ASSERT_EQ(all[m * kCols + c], one[c]) << m << ", " << c;
        double want = std::sin(static_cast<float>(m * 7 + c));
        for (size_t j = 0; j < kActive; ++j)
          want += 1.0 / static_cast<double>(2 + j + m % 3) *
                  std::cos(static_cast<float>(m * 13 + chosen[m * kActive + j] * 5 + c));
        ASSERT_NEAR(one[c], want, 4e-7 * 4);
      }
    }
  }
}

}  // namespace
}  // namespace atelier::ops
