#include "models/blocks/rope_scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

namespace atelier {
namespace {

using nlohmann::json;

Result<RopeConfig> from_json(const json& config, size_t rotary_dim, const RopeDefaults& defaults = {}) {
  return rope_from_config_json(ConfigReader(config, ""), rotary_dim, defaults);
}

// gpt-oss's numbers; its published bounds are 8.0928 and 17.3980 (docs/models/gpt-oss.md).
constexpr YarnScaling kGptOss{.factor = 32, .original_context = 4096, .round_bounds = false};

TEST(RopeScaling, PlainFrequenciesFallGeometrically) {
  const std::vector<double> f = rope_frequencies(10000, 8);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_NEAR(f[1], 0.1, 1e-12);
  EXPECT_NEAR(f[3], 0.001, 1e-12);
}

TEST(RopeScaling, YarnKeepsFastPairsAndSlowsSlowOnes) {
  const std::vector<double> plain = rope_frequencies(150000, 64);
  std::vector<double> scaled = plain;
  scale_yarn(scaled, 150000, kGptOss);
  for (size_t i = 0; i <= 8; ++i) EXPECT_DOUBLE_EQ(scaled[i], plain[i]) << i;
  for (size_t i = 18; i < 32; ++i) EXPECT_DOUBLE_EQ(scaled[i], plain[i] / 32) << i;
  // Between, the ramp of the unrounded bounds.
  const double ramp = (12 - 8.0928) / (17.3980 - 8.0928);
  EXPECT_NEAR(scaled[12] / plain[12], ramp / 32 + (1 - ramp), 1e-5);
}

TEST(RopeScaling, RoundedBoundsDiffer) {
  std::vector<double> exact = rope_frequencies(150000, 64), rounded = exact;
  scale_yarn(exact, 150000, kGptOss);
  YarnScaling rounding = kGptOss;
  rounding.round_bounds = true;
  scale_yarn(rounded, 150000, rounding);
  EXPECT_GT(std::abs(exact[12] / rounded[12] - 1), 1e-3);
}

TEST(RopeScaling, YarnAttentionFactor) {
  EXPECT_NEAR(yarn_attention_factor(32), 1.34657, 1e-5);
  EXPECT_NEAR(yarn_attention_factor(40), 1.36889, 1e-5);
  EXPECT_EQ(yarn_attention_factor(1), 1);
  EXPECT_EQ(yarn_attention_factor(0.5), 1);
}

TEST(RopeScaling, Llama3BlendsByWavelength) {
  std::vector<double> f = {1.0, 2 * std::numbers::pi / 4096, 2 * std::numbers::pi / 10000};
  const std::vector<double> plain = f;
  scale_llama3(f, {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 8192});
  EXPECT_EQ(f[0], plain[0]);
  EXPECT_NEAR(f[2], plain[2] / 8, 1e-12);
  const double smooth = (8192.0 / 4096 - 1) / 3;
  EXPECT_NEAR(f[1], (1 - smooth) * plain[1] / 8 + smooth * plain[1], 1e-12);
}

TEST(RopeScaling, DivisorsOfTheFormulaGiveItsBits) {
  const std::vector<double> plain = rope_frequencies(500000, 128);
  std::vector<double> want = plain;
  scale_llama3(want, {.factor = 32});
  std::vector<float> divisors;
  for (size_t i = 0; i < want.size(); ++i)  // with a converter's rounding errors
    divisors.push_back(static_cast<float>(plain[i] / want[i]) * (want[i] == plain[i] ? 1.0f : 1 - 1e-6f));
  divisors.back() = 32;
  std::vector<double> found = plain;
  ASSERT_TRUE(divide_frequencies(found, divisors));
  EXPECT_EQ(found, want);

  // Any other divisors are taken as they are.
  divisors[40] *= 1.001f;
  found = plain;
  ASSERT_TRUE(divide_frequencies(found, divisors));
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(found[i], plain[i] / double{divisors[i]}) << i;
  divisors[3] = 0;
  EXPECT_FALSE(divide_frequencies(found, divisors));
}

TEST(RopeScaling, ConfigJsonInEverySpelling) {
  const json yarn = {{"rope_type", "yarn"},
                     {"factor", 32.0},
                     {"beta_fast", 32.0},
                     {"beta_slow", 1.0},
                     {"original_max_position_embeddings", 4096},
                     {"truncate", false}};
  std::vector<double> want = rope_frequencies(150000, 64);
  scale_yarn(want, 150000, kGptOss);
  const auto old_style = from_json({{"rope_theta", 150000}, {"rope_scaling", yarn}}, 64);
  ASSERT_TRUE(old_style) << old_style.error().message;
  EXPECT_EQ(old_style->frequencies, want);
  EXPECT_NEAR(old_style->scale, 1.34657, 1e-5);
  json parameters = yarn;
  parameters["rope_theta"] = 150000;
  const auto new_style = from_json({{"rope_parameters", parameters}}, 64);
  ASSERT_TRUE(new_style) << new_style.error().message;
  EXPECT_EQ(new_style->frequencies, want);

  // Silent about truncation: the architecture's habit.
  parameters.erase("truncate");
  const auto gpt_oss = from_json({{"rope_parameters", parameters}}, 64, {.round_bounds = false});
  ASSERT_TRUE(gpt_oss);
  EXPECT_EQ(gpt_oss->frequencies, want);
  const auto others = from_json({{"rope_parameters", parameters}}, 64);
  ASSERT_TRUE(others);
  EXPECT_NE(others->frequencies, want);

  const auto linear = from_json({{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}}, 8);
  ASSERT_TRUE(linear);
  EXPECT_DOUBLE_EQ(linear->frequencies[0], 0.25);
  const auto none = from_json({{"rope_scaling", nullptr}}, 8, {.base = 500000});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->frequencies, rope_frequencies(500000, 8));
}

TEST(RopeScaling, GgufKeys) {
  const json keys = {{"gpt-oss.rope.freq_base", 150000.0},
                     {"gpt-oss.rope.scaling.type", "yarn"},
                     {"gpt-oss.rope.scaling.factor", 32.0},
                     {"gpt-oss.rope.scaling.original_context_length", 4096}};
  const auto rope = rope_from_gguf(ConfigReader(keys, "gpt-oss."), 64, 131072, {.round_bounds = false});
  ASSERT_TRUE(rope) << rope.error().message;
  std::vector<double> want = rope_frequencies(150000, 64);
  scale_yarn(want, 150000, kGptOss);
  EXPECT_EQ(rope->frequencies, want);
  EXPECT_NEAR(rope->scale, 1.34657, 1e-5);
}

TEST(RopeScaling, RefusesSenselessNumbers) {
  const auto code = [](const json& config) {
    const auto rope = from_json(config, 64);
    return rope ? std::optional<ErrorCode>() : rope.error().code;
  };
  EXPECT_EQ(code({{"rope_theta", 0}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({{"rope_theta", "ten"}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({{"rope_scaling", {{"rope_type", "longrope"}}}}), ErrorCode::kUnsupported);
  EXPECT_EQ(code({{"rope_scaling", {{"rope_type", "yarn"}}}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", -1}}}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}}}), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace atelier
