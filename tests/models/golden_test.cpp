// Every golden checkpoint against what transformers and OpenAI's own code make of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "models/model.h"
#include "tests/figure.h"
#include "tests/models/model_runner.h"

namespace atelier {
namespace {

using testing::Agreement;
using testing::Golden;
using testing::Matrix;
using testing::RunOptions;

// All folders of tests/data/models; a new one is tested without being named here.
std::vector<std::string> all_cases() {
  std::vector<std::string> names;
  const auto folder = std::filesystem::path(ATELIER_TEST_DATA) / "models";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

Matrix run(const Golden& golden, const RunOptions& options) {
  auto model = testing::open_model(golden.checkpoint);
  EXPECT_TRUE(model) << model.error().message;
  return model ? testing::run_model(**model, golden.tokens, options) : Matrix{};
}

class GoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, ReferencePathEqualsTheReference) {
  const Golden golden = testing::read_golden(GetParam());
  const Matrix logits = run(golden, {.n_threads = 2});
  ASSERT_FALSE(logits.values.empty());
  const double difference =
      testing::max_difference(testing::rows_at(logits, golden.positions), golden.logits);
  testing::print_figure("model {}, reference path: largest difference {:.1e} of the logits' deviation",
                        GetParam(), difference);
  EXPECT_LE(difference, 1e-4);
}

// Whether all weights have more than 8 bits, which asks for a closer agreement.
bool is_float_case(const std::string& name) {
  return name.find("gguf-q") == std::string::npos && name.find("k-quants") == std::string::npos &&
         name.find("mixed") == std::string::npos && !name.starts_with("gpt-oss");
}

TEST_P(GoldenTest, FastPathIsWithinItsDivergence) {
  const Golden golden = testing::read_golden(GetParam());
  const Matrix logits = run(golden, {.numerics = Numerics::kFast, .n_threads = 2});
  ASSERT_FALSE(logits.values.empty());
  const Agreement agreement = testing::compare(testing::rows_at(logits, golden.positions), golden.logits);
  testing::print_figure("model {}, fast path: mean KL {:.1e}, {:.1f} % the same first choice", GetParam(),
                        agreement.mean_kl, 100 * agreement.top1);
  EXPECT_LE(agreement.mean_kl, is_float_case(GetParam()) ? 1e-4 : 3e-3);
  EXPECT_GE(agreement.top1, 0.9);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, ::testing::ValuesIn(all_cases()), [](const auto& name) {
  std::string identifier = name.param;
  std::ranges::replace_if(
      identifier, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return identifier;
});

// The same weights in several dialects: no bit of the logits depends on which, on either path.
void expect_equal_dialects(const std::vector<std::string>& names) {
  for (const Numerics numerics : {Numerics::kReference, Numerics::kFast}) {
    const Golden first = testing::read_golden(names.front());
    const Matrix logits = run(first, {.numerics = numerics, .n_threads = 2});
    ASSERT_FALSE(logits.values.empty());
    for (size_t i = 1; i < names.size(); ++i) {
      const Golden other = testing::read_golden(names[i]);
      ASSERT_EQ(other.tokens, first.tokens);
      EXPECT_EQ(run(other, {.numerics = numerics, .n_threads = 2}).values, logits.values)
          << names[i] << (numerics == Numerics::kFast ? ", fast path" : ", reference path");
    }
  }
}

TEST(Dialects, GptOssIsBitEqualInAllThree) {
  expect_equal_dialects({"gpt-oss-hf", "gpt-oss-original", "gpt-oss-gguf"});
}

TEST(Dialects, Llama3IsBitEqualInAllThree) {
  expect_equal_dialects({"llama3-hf", "llama3-meta", "llama3-gguf"});
}

TEST(Dialects, LlamaWithBiasesIsBitEqualInHfAndGguf) {
  expect_equal_dialects({"llama-f16-bias-linear-rope", "llama-gguf-f16-bias-linear-rope"});
}

TEST(Dialects, OthersAreBitEqualInHfAndGguf) {
  for (const std::string name : {"gpt2", "qwen2", "qwen3", "gemma3"})
    expect_equal_dialects({name + "-hf", name + "-gguf"});
}

TEST(Gpt2, TheContextIsAHardLimit) {
  for (const char* name : {"gpt2-hf", "gpt2-gguf"}) {
    const auto model = testing::open_model(testing::read_golden(name).checkpoint);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_TRUE((*model)->info().hard_context_limit);
    EXPECT_EQ((*model)->info().context_length, 256u);
  }
}

// Rounded YaRN bounds show here: the divergence of such engines grows with the position.
TEST(GptOss, LatePositionsAreAsGoodAsEarlyOnes) {
  for (const char* name : {"gpt-oss-hf", "gpt-oss-wide-head-hf", "gpt-oss-gguf-q8_0"}) {
    const Golden golden = testing::read_golden(name);
    const Matrix reference = run(golden, {.n_threads = 2});
    const Matrix fast = run(golden, {.numerics = Numerics::kFast, .n_threads = 2});
    const auto between = [&](size_t first, size_t last) {
      std::vector<size_t> positions;
      for (size_t p = first; p < last; ++p) positions.push_back(p);
      return testing::compare(testing::rows_at(fast, positions), testing::rows_at(reference, positions));
    };
    const Agreement early = between(0, 100), late = between(300, 400), all = between(0, 400);
    testing::print_figure("model {}, fast path by position: mean KL {:.1e} (0-100 {:.1e}, 300-400 {:.1e})",
                          name, all.mean_kl, early.mean_kl, late.mean_kl);
    EXPECT_LE(all.mean_kl, 3e-3) << name;
    EXPECT_GE(all.top1, 0.97) << name;
    EXPECT_LE(late.mean_kl, 3e-3) << name;
    EXPECT_LE(late.mean_kl, 2 * early.mean_kl + 5e-4) << name;
  }
}

TEST(Comparators, SeeWrongLogits) {
  const Golden golden = testing::read_golden("llama-f32");
  EXPECT_EQ(testing::max_difference(golden.logits, golden.logits), 0);
  Matrix wrong = golden.logits;
  wrong.values[wrong.values.size() / 2] += static_cast<float>(2e-4 * testing::deviation(golden.logits));
  EXPECT_GT(testing::max_difference(wrong, golden.logits), 1e-4);
  wrong.values.back() = NAN;
  EXPECT_FALSE(testing::max_difference(wrong, golden.logits) <= 1e-4);

  Matrix shuffled = golden.logits;
  std::ranges::reverse(shuffled.values);
  const Agreement agreement = testing::compare(shuffled, golden.logits);
  EXPECT_GT(agreement.mean_kl, 0.1);
  EXPECT_LT(agreement.top1, 0.5);
  Matrix flat = golden.logits;
  for (float& value : flat.values) value *= 0.9f;
  EXPECT_GT(testing::compare(flat, golden.logits).mean_kl, 3e-3);
}

}  // namespace
}  // namespace atelier
