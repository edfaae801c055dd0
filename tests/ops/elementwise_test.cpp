// The ops around the kernels: the same bits on any number of threads, and the reference where it is asked
// for.
#include "ops/elementwise.h"

#include <functional>

#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr size_t kRows = 70, kCols = 1152, kHeadDim = 64;  // enough rows for several tasks

struct Op {
  const char* name;
  double half_units;  // of the reference, plus an absolute 4 · 2^-24 for sums that cancel
  std::function<void(Context&, MatView<const float> a, MatView<const float> b, MatView<float> out)> run;
};

std::vector<float> weights(size_t n) {
  std::vector<float> w(n);
  for (size_t i = 0; i < n; ++i) w[i] = 0.5f + 0.01f * static_cast<float>(i % 50);
  return w;
}

void copy(MatView<const float> from, MatView<float> to) {
  for (size_t r = 0; r < from.rows; ++r) std::ranges::copy(from.row(r), to.row(r).begin());
}

void rotate(Context& ctx, MatView<const float> a, MatView<float> out, ops::RopePairs pairs) {
  copy(a, out);
  const ArenaScope scope(ctx.arena());
  std::vector<int32_t> positions(a.rows);
  for (size_t i = 0; i < a.rows; ++i) positions[i] = static_cast<int32_t>(1000 + i);
  std::vector<double> inv_freq(kHeadDim / 2);
  for (size_t i = 0; i < inv_freq.size(); ++i) inv_freq[i] = std::pow(0.7, static_cast<double>(i));
  const ops::RopeAngles angles = ops::rope_angles(ctx, positions, {.inv_freq = inv_freq});
  ops::rope(ctx, out, kHeadDim, angles, pairs);
}

std::vector<Op> all_ops() {
  using Mat = MatView<const float>;
  using Out = MatView<float>;
  return {
      {"rms_norm", 50, [](Context& c, Mat a, Mat, Out o) { ops::rms_norm(c, a, weights(kCols), 1e-5f, o); }},
      {"add_rms_norm", 50,
       [](Context& c, Mat a, Mat b, Out o) {
         PaddedMat x = PaddedMat::output(a.rows, a.cols);
         copy(a, x.view());
         ops::add_rms_norm(c, x.view(), b, weights(kCols), 1e-5f, o);
       }},
      {"layer_norm", 100,
       [](Context& c, Mat a, Mat, Out o) {
         ops::layer_norm(c, a, weights(kCols), std::vector<float>(kCols, 0.25f), 1e-5f, o);
       }},
      {"add", 0, [](Context& c, Mat a, Mat b, Out o) { copy(a, o), ops::add(c, o, b); }},
      {"add_scaled", 4,
       [](Context& c, Mat a, Mat b, Out o) { copy(a, o), ops::add_scaled(c, o, weights(kRows), b); }},
      {"add_bias", 0, [](Context& c, Mat a, Mat, Out o) { copy(a, o), ops::add_bias(c, o, weights(kCols)); }},
      {"swiglu", 12, [](Context& c, Mat a, Mat b, Out o) { ops::swiglu(c, a, b, o); }},
      {"swiglu_clamped", 20, [](Context& c, Mat a, Mat b, Out o) { ops::swiglu_clamped(c, a, b, {}, o); }},
      {"gelu_tanh", 40, [](Context& c, Mat a, Mat, Out o) { ops::gelu_tanh(c, a, o); }},
      {"geglu_tanh", 40, [](Context& c, Mat a, Mat b, Out o) { ops::geglu_tanh(c, a, b, o); }},
      {"rope halves", 0, [](Context& c, Mat a, Mat, Out o) { rotate(c, a, o, ops::RopePairs::kHalves); }},
      {"rope adjacent", 0, [](Context& c, Mat a, Mat, Out o) { rotate(c, a, o, ops::RopePairs::kAdjacent); }},
  };
}

TEST(Elementwise, DoesNotDependOnThreadsAndAgreesWithTheReference) {
  const PaddedMat a = PaddedMat::random(kRows, kCols, 1), b = PaddedMat::random(kRows, kCols, 2);
  for (const Op& op : all_ops()) {
    SCOPED_TRACE(op.name);
    ThreadPool one(1);
    Context single(one, Numerics::kFast), reference(one, Numerics::kReference);
    PaddedMat want = PaddedMat::output(kRows, kCols), exact = PaddedMat::output(kRows, kCols);
    op.run(single, a.view(), b.view(), want.view());
    op.run(reference, a.view(), b.view(), exact.view());
    EXPECT_TRUE(close_relative(want.view(), exact.view(), op.half_units, 16 * kUlp));
    for (const size_t threads : {2u, 4u}) {
      ThreadPool pool(threads);
      Context ctx(pool, Numerics::kFast);
      PaddedMat got = PaddedMat::output(kRows, kCols);
      op.run(ctx, a.view(), b.view(), got.view());
      EXPECT_TRUE(bit_equal(got.view(), want.view())) << threads << " threads";
      EXPECT_TRUE(got.padding_is_intact());
    }
    // A row alone gives what it gives in company.
    PaddedMat row = PaddedMat::output(1, kCols);
    if (std::string_view(op.name).starts_with("rope") || std::string_view(op.name) == "add_scaled") continue;
    op.run(single, a.view().row_range(5, 1), b.view().row_range(5, 1), row.view());
    EXPECT_TRUE(bit_equal(row.view(), want.view().row_range(5, 1)));
  }
}

TEST(Elementwise, TopKSoftmaxOverManyRows) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  constexpr size_t kTokens = 300, kExperts = 128, kActive = 4;
  const PaddedMat scores = PaddedMat::random(kTokens, kExperts, 3);
  std::vector<uint32_t> indices(kTokens * kActive);
  PaddedMat chosen = PaddedMat::output(kTokens, kActive);
  ops::top_k_softmax(ctx, scores.view(), kActive, {indices.data(), kTokens, kActive}, chosen.view());
  for (size_t r = 0; r < kTokens; ++r) {
    float sum = 0, least = HUGE_VALF;
    for (size_t j = 0; j < kActive; ++j) {
      sum += chosen.view().row(r)[j];
      least = std::min(least, scores.view().row(r)[indices[r * kActive + j]]);
    }
    EXPECT_NEAR(sum, 1.0f, 1e-6f);
    size_t larger = 0;
    for (const float s : scores.view().row(r)) larger += s > least;
    EXPECT_EQ(larger, kActive - 1);
  }
}

TEST(Elementwise, NothingToDoIsFine) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const MatView<float> none(nullptr, 0, 8);
  ops::rms_norm(ctx, none, weights(8), 1e-5f, none);
  ops::swiglu(ctx, none, none, none);
  ops::add(ctx, none, none);
}

}  // namespace
}  // namespace atelier::testing
