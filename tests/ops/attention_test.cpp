// attention() and kv_append() against a plain double computation over unpaged keys and values; and bit for
// bit against themselves over chunks, threads and neighbours.
#include "ops/attention.h"

#include "formats/float16.h"
#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

using ops::AttentionSequence;
using ops::AttentionShape;

struct Case {
  AttentionShape shape;
  size_t n_tokens = 0;
  bool sinks = false;
};

size_t group_of(const AttentionShape& shape) { return shape.n_heads / shape.kv.kv_heads; }

// Queries, keys and values of one sequence from position 0, and its pages.
class Sequence {
 public:
  Sequence(const Case& test, uint32_t seed)
      : shape_(test.shape),
        n_(test.n_tokens),
        q_(PaddedMat::random(n_, shape_.n_heads * shape_.kv.k_dim, seed)),
        k_(PaddedMat::random(n_, shape_.kv.kv_heads * shape_.kv.k_dim, seed + 1)),
        v_(PaddedMat::random(n_, shape_.kv.kv_heads * shape_.kv.v_dim, seed + 2)) {
    round(k_, shape_.kv.k_dim);
    round(v_, shape_.kv.v_dim);
    clear_pages();
  }

  // Every slot that is not written holds NaN.
  void clear_pages() {
    const size_t n_pages = (n_ + kKvPageTokens - 1) / kKvPageTokens;
    const size_t floats = (shape_.kv.page_bytes() + 3) / 4;
    memory_.assign(n_pages * floats, std::numeric_limits<float>::quiet_NaN());
    if (shape_.kv.type == KvType::kF16)  // as half: 0x7fff, twice
      for (float& value : memory_) value = std::bit_cast<float>(uint32_t{0x7fff7fff});
    pages_.clear();
    for (size_t i = 0; i < n_pages; ++i)
      pages_.push_back(reinterpret_cast<std::byte*>(memory_.data() + i * floats));
  }

  // Positions [first, first + n) as rows [row, row + n) of a batch. Pages before the window are left out.
  AttentionSequence part(size_t first, size_t n, size_t row) const {
    const size_t first_key = shape_.window != 0 && first + 1 > shape_.window ? first + 1 - shape_.window : 0;
    const size_t first_page = first_key / kKvPageTokens;
    return {.pages = std::span(pages_).subspan(first_page),
            .first_page = first_page,
            .first_row = row,
            .n_rows = n,
            .first_position = first};
  }

  const PaddedMat& q() const { return q_; }
  const PaddedMat& k() const { return k_; }
  const PaddedMat& v() const { return v_; }
  size_t size() const { return n_; }

 private:
  // The values the cache will hold, so that the comparison sees attention's errors only.
  void round(PaddedMat& mat, size_t head_dim) const {
    for (size_t r = 0; r < n_; ++r) {
      const std::span<float> row = mat.view().row(r);
      if (shape_.kv.type == KvType::kF16)
        for (float& value : row) value = f16_to_f32(f32_to_f16(value));
      for (size_t head = 0; shape_.kv.type == KvType::k8 && head < row.size(); head += head_dim)
        for (size_t i = 0; i < head_dim; i += kKvBlock)
          round_block(row.subspan(head + i, std::min(kKvBlock, head_dim - i)));
    }
  }
  static void round_block(std::span<float> block) {
    float max = 0;
    for (const float value : block) max = std::max(max, std::abs(value));
    if (max == 0) return;
    for (float& value : block) value = std::round(value * (127.0f / max)) * (max / 127.0f);
  }

  AttentionShape shape_;
  size_t n_;
  PaddedMat q_, k_, v_;
  std::vector<float> memory_;
  std::vector<std::byte*> pages_;
};

std::vector<float> make_sinks(const Case& test) {
  std::vector<float> sinks;
  for (size_t h = 0; test.sinks && h < test.shape.n_heads; ++h)
    sinks.push_back(0.5f * static_cast<float>(h % 7) - 1.0f);
  return sinks;
}

// Appends and attends `sequence` in chunks of `chunk` tokens.
PaddedMat run(Context& ctx, const Case& test, Sequence& sequence, size_t chunk) {
  sequence.clear_pages();
  const std::vector<float> sinks = make_sinks(test);
  PaddedMat out = PaddedMat::output(sequence.size(), test.shape.n_heads * test.shape.kv.v_dim);
  for (size_t first = 0; first < sequence.size(); first += chunk) {
    const size_t n = std::min(chunk, sequence.size() - first);
    const AttentionSequence part = sequence.part(first, n, 0);
    ops::kv_append(ctx, test.shape, sequence.k().view().row_range(first, n),
                   sequence.v().view().row_range(first, n), {&part, 1});
    ops::attention(ctx, test.shape, sequence.q().view().row_range(first, n), sinks, {&part, 1},
                   out.view().row_range(first, n));
    ctx.arena().reset();
  }
  return out;
}

struct Expected {
  PaddedMat out;
  PaddedMat tolerance;
};

// One head of one token in double, and how far float32 arithmetic may be from it: a score is off by
// (k_dim + 16) half-units of Σ|q·k|, which moves its weight by that fraction; the weighted sum adds a
// rounding per key and the exponentials a few more.
void expect_head(const Case& test, const Sequence& s, std::span<const float> sinks, size_t token, size_t head,
                 Expected& expected) {
  const AttentionShape& shape = test.shape;
  const size_t k_dim = shape.kv.k_dim, v_dim = shape.kv.v_dim, kv_head = head / group_of(shape);
  const std::span<const float> q = s.q().view().row(token).subspan(head * k_dim, k_dim);
  const size_t first = shape.window != 0 && token + 1 > shape.window ? token + 1 - shape.window : 0;
  std::vector<double> weights;
  double max = sinks.empty() ? -HUGE_VAL : double{sinks[head]}, worst_score_error = 0;
  for (size_t p = first; p <= token; ++p) {
    const std::span<const float> k = s.k().view().row(p).subspan(kv_head * k_dim, k_dim);
    double dot = 0, magnitude = 0;
    for (size_t d = 0; d < k_dim; ++d) {
      dot += double{q[d]} * double{k[d]};
      magnitude += std::abs(double{q[d]} * double{k[d]});
    }
    double score = dot * double{shape.scale};
    if (shape.softcap > 0) score = double{shape.softcap} * std::tanh(score / double{shape.softcap});
    worst_score_error =
        std::max(worst_score_error, magnitude * double{shape.scale} * kUlp * static_cast<double>(k_dim + 16));
    weights.push_back(score);
    max = std::max(max, score);
  }
  double sum = sinks.empty() ? 0 : std::exp(double{sinks[head]} - max);
  for (double& w : weights) sum += w = std::exp(w - max);
  for (size_t d = 0; d < v_dim; ++d) {
    double total = 0, magnitude = 0;
    for (size_t p = first; p <= token; ++p) {
      const double v = double{s.v().view().row(p)[kv_head * v_dim + d]};
      total += weights[p - first] * v;
      magnitude += weights[p - first] * std::abs(v);
    }
    const double roundings = static_cast<double>(weights.size() + 64) * kUlp;
    expected.out.view().row(token)[head * v_dim + d] = static_cast<float>(total / sum);
    expected.tolerance.view().row(token)[head * v_dim + d] =
        static_cast<float>(magnitude / sum * (2 * worst_score_error + roundings) + 1e-9);
  }
}

Expected expect(const Case& test, const Sequence& sequence) {
  const size_t cols = test.shape.n_heads * test.shape.kv.v_dim;
  Expected expected{PaddedMat::output(sequence.size(), cols), PaddedMat::output(sequence.size(), cols)};
  const std::vector<float> sinks = make_sinks(test);
  for (size_t token = 0; token < sequence.size(); ++token)
    for (size_t head = 0; head < test.shape.n_heads; ++head)
      expect_head(test, sequence, sinks, token, head, expected);
  return expected;
}

::testing::AssertionResult matches(const PaddedMat& got, const Expected& expected) {
  return close(got.view(), expected.out.view(),
               [&](size_t r, size_t c) { return double{expected.tolerance.view().row(r)[c]}; });
}

Case make_case(size_t n_heads, size_t kv_heads, size_t k_dim, size_t v_dim, KvType type, size_t n_tokens) {
  Case test;
  test.shape.kv = {.kv_heads = kv_heads, .k_dim = k_dim, .v_dim = v_dim, .type = type};
  test.shape.n_heads = n_heads;
  test.shape.scale = 1.0f / std::sqrt(static_cast<float>(k_dim));
  test.n_tokens = n_tokens;
  return test;
}

// Groups of 1 … 9 and 16, dimensions of real models and odd ones, k_dim ≠ v_dim, windows inside a page,
// across pages and of more than 200 keys.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const KvType type : {KvType::kF16, KvType::kF32, KvType::k8}) {
    for (const size_t group : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 16u})
      all.push_back(make_case(2 * group, 2, 16, 16, type, 150));
    all.push_back(make_case(9, 3, 64, 64, type, 300));
    all.push_back(make_case(4, 1, 128, 128, type, 130));
    all.push_back(make_case(2, 2, 80, 80, type, 70));
    all.push_back(make_case(2, 1, 96, 96, type, 70));
    all.push_back(make_case(4, 2, 24, 40, type, 100));
    all.push_back(make_case(3, 1, 5, 7, type, 100));
    all.push_back(make_case(4, 2, 33, 17, type, 100));
    all.push_back(make_case(1, 1, 1, 1, type, 66));
    for (const size_t window : {1u, 2u, 63u, 64u, 65u, 128u, 200u, 257u}) {
      all.push_back(make_case(4, 2, 16, 16, type, 600));
      all.back().shape.window = window;
      all.back().sinks = window % 2 == 0;
    }
    all.push_back(make_case(6, 2, 32, 32, type, 400));
    all.back().sinks = true;
    all.push_back(make_case(4, 2, 32, 32, type, 200));
    all.back().shape.softcap = 2.0f;
    all.push_back(make_case(4, 2, 32, 32, type, 200));
    all.back().shape.softcap = 30.0f;
    all.back().sinks = true;
    all.back().shape.window = 100;
  }
  return all;
}

std::string describe(const Case& test) {
  const AttentionShape& s = test.shape;
  return fmt::format("{} heads, {} kv heads, k_dim {}, v_dim {}, {}, {} tokens, window {}, cap {}, sinks {}",
                     s.n_heads, s.kv.kv_heads, s.kv.k_dim, s.kv.v_dim,
                     s.kv.type == KvType::kF16 ? "f16"
                     : s.kv.type == KvType::k8 ? "8-bit"
                                               : "f32",
                     test.n_tokens, s.window, s.softcap, test.sinks);
}

TEST(Attention, EqualsPlainArithmeticOnEveryLevel) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFast);
  for (const Case& test : cases()) {
    SCOPED_TRACE(describe(test));
    Sequence sequence(test, 7);
    const Expected expected = expect(test, sequence);
    for (const Isa isa : present_isas()) {
      SCOPED_TRACE(isa_name(isa));
      const ScopedIsa scoped(isa);
      const PaddedMat got = run(ctx, test, sequence, 512);
      EXPECT_TRUE(matches(got, expected));
      EXPECT_TRUE(got.padding_is_intact());
    }
  }
}

TEST(Attention, ReferenceEqualsPlainArithmetic) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kReference);
  for (const Case& test : cases()) {
    SCOPED_TRACE(describe(test));
    Sequence sequence(test, 11);
    const Expected expected = expect(test, sequence);
    const PaddedMat got = run(ctx, test, sequence, 64);
    EXPECT_TRUE(close_relative(got.view(), expected.out.view(), 2, 1e-9));
    EXPECT_TRUE(got.padding_is_intact());
  }
}

// A comparison that could not fail would prove nothing.
TEST(Attention, TheComparisonNoticesSmallFaults) {
  ThreadPool pool(1);
  Context ctx(pool, Numerics::kFast);
  Case test = make_case(4, 2, 16, 16, KvType::kF16, 300);
  test.shape.window = 200;
  test.sinks = true;
  Sequence sequence(test, 7);
  const Expected expected = expect(test, sequence);
  EXPECT_TRUE(matches(run(ctx, test, sequence, 512), expected));
  Case wrong = test;
  wrong.shape.window = 201;
  EXPECT_FALSE(matches(run(ctx, wrong, sequence, 300), expected));
  wrong = test;
  wrong.sinks = false;
  EXPECT_FALSE(matches(run(ctx, wrong, sequence, 300), expected));
  wrong = test;
  wrong.shape.scale *= 1.0001f;
  EXPECT_FALSE(matches(run(ctx, wrong, sequence, 300), expected));
}

// The same bits for every chunking and number of threads.
TEST(Attention, DoesNotDependOnChunksOrThreads) {
  std::vector<Case> tests;
  tests.push_back(make_case(9, 3, 64, 64, KvType::kF16, 530));
  tests.push_back(make_case(16, 2, 40, 24, KvType::kF32, 530));
  tests.push_back(make_case(16, 2, 64, 64, KvType::k8, 530));
  tests.back().sinks = true;
  tests.push_back(make_case(4, 2, 32, 32, KvType::kF16, 600));
  tests.back().shape.window = 210;
  tests.back().sinks = true;
  tests.push_back(make_case(5, 1, 20, 12, KvType::kF16, 530));
  tests.back().shape.softcap = 5.0f;
  struct Way {
    size_t threads, chunk;
  };
  const std::vector<Way> ways = {{1, 1}, {1, 7}, {2, 1}, {2, 64}, {4, 7}, {4, 512}};
  for (const Case& test : tests) {
    SCOPED_TRACE(describe(test));
    Sequence sequence(test, 3);
    for (const Isa isa : present_isas()) {
      SCOPED_TRACE(isa_name(isa));
      const ScopedIsa scoped(isa);
      ThreadPool one(1);
      Context single(one, Numerics::kFast);
      const PaddedMat want = run(single, test, sequence, 512);
      for (const Way& way : ways) {
        SCOPED_TRACE(::testing::Message() << way.threads << " threads, chunks of " << way.chunk);
        ThreadPool pool(way.threads);
        Context ctx(pool, Numerics::kFast);
        ASSERT_TRUE(bit_equal(run(ctx, test, sequence, way.chunk).view(), want.view()));
      }
    }
  }
}

// Several sequences of different lengths and depths in one call, one of them without new tokens.
TEST(Attention, DoesNotDependOnNeighbours) {
  Case test = make_case(6, 2, 32, 48, KvType::kF16, 0);
  test.sinks = true;
  const std::vector<float> sinks = make_sinks(test);
  const std::vector<size_t> lengths = {1, 530, 64, 130, 300}, new_tokens = {1, 1, 64, 0, 37};
  for (const size_t threads : {1u, 4u}) {
    ThreadPool pool(threads);
    Context ctx(pool, Numerics::kFast);
    std::vector<Sequence> all;
    std::vector<PaddedMat> want;
    size_t rows = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      test.n_tokens = lengths[i];
      all.emplace_back(test, static_cast<uint32_t>(100 + 10 * i));
      all.back().clear_pages();
      rows += new_tokens[i];
    }
    for (Sequence& s : all) want.push_back(run(ctx, test, s, 512));  // leaves the keys in the pages
    PaddedMat q = PaddedMat::output(rows, 6 * 32), out = PaddedMat::output(rows, 6 * 48);
    std::vector<AttentionSequence> parts;
    size_t row = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t first = lengths[i] - new_tokens[i];
      for (size_t r = 0; r < new_tokens[i]; ++r)
        std::ranges::copy(all[i].q().view().row(first + r), q.view().row(row + r).begin());
      parts.push_back(all[i].part(first, new_tokens[i], row));
      row += new_tokens[i];
    }
    ops::attention(ctx, test.shape, q.view(), sinks, parts, out.view());
    for (size_t i = 0; i < all.size(); ++i)
      EXPECT_TRUE(bit_equal(out.view().row_range(parts[i].first_row, new_tokens[i]),
                            want[i].view().row_range(lengths[i] - new_tokens[i], new_tokens[i])))
          << "sequence " << i;
    EXPECT_TRUE(out.padding_is_intact());
  }
}

TEST(Attention, TakesNoMemoryOnceWarm) {
  ThreadPool pool(2);
  Context ctx(pool, Numerics::kFast);
  const Case test = make_case(9, 3, 64, 64, KvType::kF16, 600);
  Sequence sequence(test, 5);
  run(ctx, test, sequence, 512);
  run(ctx, test, sequence, 1);
  const size_t warm = ctx.arena().capacity_bytes();
  const Arena::Mark before = ctx.arena().mark();
  run(ctx, test, sequence, 512);
  run(ctx, test, sequence, 1);
  EXPECT_EQ(ctx.arena().capacity_bytes(), warm);
  EXPECT_EQ(ctx.arena().mark().used, before.used);
}

}  // namespace
}  // namespace atelier::testing
