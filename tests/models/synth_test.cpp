// Random checkpoints: every dialect and format loads, holds the same weights, and computes.
#include "models/synth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>

#include "formats/decode.h"
#include "formats/float16.h"
#include "models/synth_fill.h"
#include "tests/models/model_runner.h"
#include "text/tokenizer.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;
using testing::Matrix;

class SynthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("synth_") + info->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path place(Dialect dialect, const std::string& name) const {
    return folder_ / (dialect == Dialect::kGguf ? name + ".gguf" : name);
  }

  // Small enough for the scalar reference path.
  static SynthOptions small(const std::string& architecture) {
    SynthOptions options;
    options.architecture = architecture;
    options.seed = 7;
    options.overrides.n_layers = 2;
    options.overrides.vocab_size = 300;
    options.n_threads = 2;
    return options;
  }

  fs::path write(SynthOptions options, const std::string& name) const {
    options.out = place(options.dialect, name);
    const Result<uint64_t> bytes = synthesize(options);
    EXPECT_TRUE(bytes) << name << ": " << bytes.error().message;
    return options.out;
  }

  static std::vector<TokenId> some_tokens(size_t n) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<TokenId>((i * 37 + 11) % 290));
    return tokens;
  }

  static Matrix run(const fs::path& path, Numerics numerics = Numerics::kReference, size_t n_tokens = 24) {
    auto model = testing::open_model(path);
    EXPECT_TRUE(model) << model.error().message;
    if (!model) return {};
    return testing::run_model(**model, some_tokens(n_tokens), {.numerics = numerics, .n_threads = 2});
  }

  fs::path folder_;
};

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

TEST_F(SynthTest, EveryDialectAndFormatLoadsAndComputes) {
  for (const std::string architecture : {"llama", "gpt-oss"})
    for (const Dialect dialect : {Dialect::kGguf, Dialect::kHf, Dialect::kOriginal})
      for (const std::string_view format : synth_format_names()) {
        SynthOptions options = small(architecture);
        options.dialect = dialect;
        options.format = *parse_synth_format(format);
        const std::string name = fmt::format("{}-{}-{}", architecture, dialect_name(dialect), format);
        const bool quantised = options.format >= SynthFormat::kQ8_0;
        options.out = place(dialect, name);
        const Result<uint64_t> bytes = synthesize(options);
        if (quantised && dialect != Dialect::kGguf) {
          ASSERT_FALSE(bytes) << name;
          EXPECT_EQ(bytes.error().code, ErrorCode::kInvalidArgument);
          EXPECT_FALSE(fs::exists(options.out));
          continue;
        }
        ASSERT_TRUE(bytes) << name << ": " << bytes.error().message;
        EXPECT_GT(*bytes, 100'000u) << name;
        const Matrix logits = run(options.out, Numerics::kFast);
        ASSERT_FALSE(logits.values.empty()) << name;
        const double sigma = testing::deviation(logits);
        EXPECT_GT(sigma, 1) << name;
        EXPECT_LT(sigma, 10) << name;
      }
}

// The weights depend on the seed alone: the same model comes out of every file that can hold it exactly.
TEST_F(SynthTest, DialectsAndExactFormatsHoldTheSameWeights) {
  for (const std::string architecture : {"llama", "gpt-oss"}) {
    const auto variant = [&](Dialect dialect, SynthFormat format) {
      SynthOptions options = small(architecture);
      options.dialect = dialect;
      options.format = format;
      return run(write(
          options, fmt::format("{}-{}-{}", architecture, dialect_name(dialect), static_cast<int>(format))));
    };
    const Matrix published = variant(Dialect::kHf, SynthFormat::kAsPublished);
    EXPECT_EQ(variant(Dialect::kOriginal, SynthFormat::kAsPublished).values, published.values);
    // GGUF's Q8_0 around gpt-oss's experts holds the very values of BF16.
    EXPECT_EQ(variant(Dialect::kGguf, SynthFormat::kAsPublished).values, published.values);

    const Matrix wide = variant(Dialect::kGguf, SynthFormat::kF32);
    for (const SynthFormat format : {SynthFormat::kF16, SynthFormat::kBF16, SynthFormat::kQ8_0})
      EXPECT_EQ(variant(Dialect::kGguf, format).values, wide.values);
    EXPECT_EQ(variant(Dialect::kHf, SynthFormat::kBF16).values, wide.values);
    EXPECT_EQ(variant(Dialect::kOriginal, SynthFormat::kF32).values, wide.values);
  }
}

// Conv1D's files hold every matrix turned round, q, k and v in one.
TEST_F(SynthTest, Gpt2HoldsTheSameWeightsTurnedRound) {
  const auto variant = [&](Dialect dialect, SynthFormat format) {
    SynthOptions options = small("gpt2");
    options.dialect = dialect;
    options.format = format;
    return run(write(options, fmt::format("gpt2-{}-{}", dialect_name(dialect), static_cast<int>(format))));
  };
  const Matrix upright = variant(Dialect::kGguf, SynthFormat::kF32);
  EXPECT_GT(testing::deviation(upright), 1);
  EXPECT_EQ(variant(Dialect::kHf, SynthFormat::kF32).values, upright.values);
  EXPECT_EQ(variant(Dialect::kGguf, SynthFormat::kQ8_0).values, upright.values);
  SynthOptions options = small("gpt2");
  options.dialect = Dialect::kOriginal;
  options.out = folder_ / "original";
  ASSERT_FALSE(synthesize(options));
}

TEST_F(SynthTest, BytesDependOnTheSeedAndNotOnThreads) {
  SynthOptions options = small("gpt-oss");
  options.n_threads = 1;
  const std::string one = read_all(write(options, "one"));
  options.n_threads = 4;
  const std::string four = read_all(write(options, "four"));
  options.seed = 8;
  const std::string other = read_all(write(options, "other"));
  EXPECT_EQ(one, four);
  ASSERT_EQ(one.size(), other.size());
  EXPECT_NE(one, other);
}

TEST_F(SynthTest, PresetsHaveTheirPublishersShapes) {
  EXPECT_EQ(synth_architectures().front(), "llama");
  for (const std::string_view preset : synth_presets("gpt-oss")) {
    if (preset == "tiny") continue;
    SynthOptions options;
    options.architecture = "gpt-oss";
    options.preset = preset;
    options.overrides = {.d_model = 32, .ffn_dim = 32, .n_experts = 4, .vocab_size = 300};
    auto model = testing::open_model(write(options, std::string(preset)));
    ASSERT_TRUE(model) << model.error().message;
    const ModelInfo& info = (*model)->info();
    EXPECT_EQ(info.n_layers, preset == "20b" ? 24u : 36u);
    EXPECT_EQ(info.context_length, 131072u);
    // Four experts, all of which a token meets.
    EXPECT_EQ(info.expert_share, 1.0);
    EXPECT_EQ(info.bytes_per_pass(8), static_cast<double>(info.bytes_per_token));
    for (size_t i = 0; i < info.n_layers; ++i) {
      EXPECT_EQ(info.cache[i].window, i % 2 == 0 ? 128u : 0u);
      EXPECT_EQ(info.cache[i].geometry.kv_heads, 8u);
      EXPECT_EQ(info.cache[i].geometry.k_dim, 64u);
    }
  }
}

// A token meets 4 of 16 experts; two miss a quarter of three quarters each; many meet all.
TEST_F(SynthTest, PassesReadTheExpertsTheirTokensMeet) {
  SynthOptions options = small("gpt-oss");
  options.overrides.n_experts = 16;
  const auto model = testing::open_model(write(options, "experts"));
  ASSERT_TRUE(model) << model.error().message;
  const ModelInfo& info = (*model)->info();
  ASSERT_EQ(info.expert_share, 0.25);
  const auto experts = static_cast<double>(info.expert_bytes),
             one = static_cast<double>(info.bytes_per_token);
  EXPECT_GT(experts, 0);
  EXPECT_EQ(info.bytes_per_pass(1), one);
  EXPECT_NEAR(info.bytes_per_pass(2), one + experts * 3 / 16, 1);
  EXPECT_NEAR(info.bytes_per_pass(1000), one + experts * 3 / 4, 1);
}

TEST_F(SynthTest, GeneratedTokenizersRoundTrip) {
  for (const std::string architecture : {"llama", "gpt-oss"})
    for (const Dialect dialect : {Dialect::kGguf, Dialect::kHf}) {
      SynthOptions options = small(architecture);
      options.dialect = dialect;
      options.overrides.vocab_size = 1200;
      const auto tokenizer =
          Tokenizer::load(write(options, architecture + std::string(dialect_name(dialect))));
      ASSERT_TRUE(tokenizer) << tokenizer.error().message;
      EXPECT_EQ((*tokenizer)->vocab_size(), 1200u);
      const std::string text = "the quick brown fox, 12345 \xc3\xa9\n";
      const std::vector<TokenId> ids = (*tokenizer)->encode(text);
      EXPECT_EQ((*tokenizer)->decode(ids), text);
      EXPECT_LT(ids.size(), text.size());  // words of letters are merged
      ASSERT_TRUE((*tokenizer)->eos());
      const std::string eos((*tokenizer)->token_bytes(*(*tokenizer)->eos()));
      EXPECT_EQ(eos, architecture == "llama" ? "<|end_of_text|>" : "<|return|>");
      auto model = testing::open_model(options.out.empty()
                                           ? place(dialect, architecture + std::string(dialect_name(dialect)))
                                           : options.out);
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_TRUE(std::ranges::count((*model)->info().stop_tokens, *(*tokenizer)->eos()));
    }
}

TEST_F(SynthTest, RefusesWhatMakesNoSense) {
  const auto error = [&](auto change) {
    SynthOptions options = small("llama");
    options.out = folder_ / "refused.gguf";
    change(options);
    const Result<uint64_t> bytes = synthesize(options);
    EXPECT_FALSE(bytes);
    EXPECT_FALSE(fs::exists(folder_ / "refused.gguf"));
    return bytes ? Error{} : bytes.error();
  };
  EXPECT_EQ(error([](SynthOptions& o) { o.architecture = "gpt-5"; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.preset = "huge"; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.overrides.n_layers = 0; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.overrides.vocab_size = 100; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.overrides.kv_heads = 3; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.overrides.n_experts = 3; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) {
              o.architecture = "gpt-oss";
              o.overrides.d_model = 100;
            }).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](SynthOptions& o) { o.tokenizer = "/nowhere/tokenizer.json"; }).code,
            ErrorCode::kNotFound);
  // Far more than any disk has: said before anything is written.
  const Error full = error(
      [](SynthOptions& o) { o.overrides = {.n_layers = 1000, .d_model = 1 << 20, .ffn_dim = 1 << 20}; });
  EXPECT_EQ(full.code, ErrorCode::kIo);
  EXPECT_NE(full.message.find("free space"), std::string::npos) << full.message;
  EXPECT_FALSE(parse_synth_format("q3_k"));
}

TEST_F(SynthTest, LeavesNothingWhenInterruptedOrInTheWay) {
  for (const Dialect dialect : {Dialect::kGguf, Dialect::kHf}) {
    std::atomic<bool> cancel = true;
    SynthOptions options = small("llama");
    options.dialect = dialect;
    options.cancel = &cancel;
    options.out = place(dialect, "interrupted");
    const Result<uint64_t> bytes = synthesize(options);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, ErrorCode::kInterrupted);
    EXPECT_TRUE(names_in(folder_).empty()) << names_in(folder_).front();
  }
  const fs::path there = write(small("llama"), "there");
  const std::string before = read_all(there);
  SynthOptions options = small("llama");
  options.seed = 9;
  options.out = there;
  ASSERT_FALSE(synthesize(options));
  EXPECT_EQ(read_all(there), before);
  EXPECT_EQ(names_in(folder_).size(), 1u);
}

TEST_F(SynthTest, ReportsProgressUpToTheEnd) {
  SynthOptions options = small("llama");
  options.out = folder_ / "progress.gguf";
  uint64_t last = 0, total = 0;
  const auto bytes = synthesize(options, [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  });
  ASSERT_TRUE(bytes);
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0u);
  EXPECT_EQ(*bytes, fs::file_size(options.out));
}

TEST(SynthFill, SpreadsEvenlyAroundZero) {
  constexpr size_t kCols = 256 * 64;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ4_K, DType::kQ6_K, DType::kMXFP4}) {
    ASSERT_TRUE(can_fill(dtype));
    std::vector<std::byte> row(*row_bytes(dtype, kCols));
    std::vector<float> values(kCols);
    for (const double stddev : {0.01, 0.5}) {
      fill_row(dtype, fill_key(1, "tensor", 0, 3), stddev, kCols, row);
      decode_row(dtype, row, values);
      double sum = 0, squares = 0;
      for (const float value : values) {
        sum += value;
        squares += double{value} * value;
      }
      const double found = std::sqrt(squares / kCols);
      EXPECT_GT(found, stddev / 1.5) << dtype_info(dtype).name;
      EXPECT_LT(found, stddev * 1.5) << dtype_info(dtype).name;
      EXPECT_LT(std::abs(sum / kCols), 0.05 * stddev) << dtype_info(dtype).name;
    }
  }
}

TEST(SynthFill, BothMxfp4LayoutsHoldTheSameValues) {
  constexpr size_t kCols = 32 * 70;  // more blocks than one word of scale choices covers
  const FillKey key = fill_key(5, "experts", 3, 9);
  std::vector<std::byte> row(*row_bytes(DType::kMXFP4, kCols)), blocks(kCols / 2), scales(kCols / 32);
  fill_row(DType::kMXFP4, key, 0.02, kCols, row);
  fill_mxfp4_blocks(key, blocks);
  fill_mxfp4_scales(key, 0.02, scales);
  std::vector<float> from_row(kCols), from_split(kCols);
  decode_row(DType::kMXFP4, row, from_row);
  decode_mxfp4_split(blocks, scales, from_split);
  EXPECT_EQ(from_row, from_split);
}

TEST(SynthFill, KeysAndVectorsDiffer) {
  EXPECT_NE(fill_key(1, "a", 0, 0).value, fill_key(2, "a", 0, 0).value);
  EXPECT_NE(fill_key(1, "a", 0, 0).value, fill_key(1, "b", 0, 0).value);
  EXPECT_NE(fill_key(1, "a", 0, 1).value, fill_key(1, "a", 1, 0).value);
  std::vector<float> norm(300), bias(300);
  fill_vector(fill_key(1, "norm", 0, 0), 1.0f, 0.1, norm);
  fill_vector(fill_key(1, "norm", 0, 0), 0.0f, 0.1, bias);
  for (size_t i = 0; i < norm.size(); ++i) {
    EXPECT_EQ(norm[i], 1.0f + bias[i]);
    EXPECT_EQ(bf16_to_f32(f32_to_bf16(norm[i])), norm[i]);
    EXPECT_EQ(bf16_to_f32(f32_to_bf16(bias[i])), bias[i]);
  }
  EXPECT_NE(*std::ranges::max_element(bias), *std::ranges::min_element(bias));
}

}  // namespace
}  // namespace atelier
