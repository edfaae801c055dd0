#include "kernels/cpu/top_k/top_k.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

struct Choice {
  std::vector<uint32_t> indices;
  std::vector<float> weights;
};
Choice choose(const std::vector<float>& scores, size_t k) {
  Choice choice{std::vector<uint32_t>(k, 9999), std::vector<float>(k, kSentinel)};
  kernels::top_k_softmax({scores.data(), 1, scores.size()}, {choice.indices.data(), 1, k},
                         {choice.weights.data(), 1, k});
  return choice;
}

TEST(TopK, EqualsAFullSort) {
  std::mt19937 engine(1);
  for (const size_t n : {1u, 2u, 4u, 7u, 32u, 128u, 256u}) {
    for (size_t k = 1; k <= std::min<size_t>(n, 9); ++k) {
      std::vector<float> scores(n);
      // Few distinct values: ties everywhere.
      for (float& s : scores) s = static_cast<float>(engine() % 11) * 0.5f - 2.0f;
      std::vector<uint32_t> order(n);
      std::iota(order.begin(), order.end(), 0u);
      std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
        return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
      });
      order.resize(k);
      const Choice got = choose(scores, k);
      EXPECT_EQ(got.indices, order);
      double sum = 0;
      for (const uint32_t i : order) sum += std::exp(double{scores[i]});
      for (size_t j = 0; j < k; ++j)
        EXPECT_FLOAT_EQ(got.weights[j], static_cast<float>(std::exp(double{scores[order[j]]}) / sum));
    }
  }
}

TEST(TopK, IndicesAreValidWhateverTheScores) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& scores : {std::vector<float>{nan, nan, nan, nan},
                                           {nan, 1.0f, nan, 2.0f},
                                           {-inf, -inf, -inf, nan},
                                           {inf, nan, inf, 0.0f}}) {
    const Choice got = choose(scores, 3);
    const std::set<uint32_t> distinct(got.indices.begin(), got.indices.end());
    EXPECT_EQ(distinct.size(), 3u);
    EXPECT_LT(*distinct.rbegin(), 4u);
  }
  EXPECT_EQ(choose({nan, 1.0f, nan, 2.0f}, 2).indices, (std::vector<uint32_t>{3, 1}));
}

}  // namespace
}  // namespace atelier::testing
