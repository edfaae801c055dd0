#include "server/sampling_fields.h"

#include <gtest/gtest.h>

#include <string>

namespace atelier::server {
namespace {

struct Read {
  SamplerChoice sampling;
  Error error;
};

Read read_fields(std::string_view text) {
  const Json json = Json::parse(text);
  Read out;
  const Status status = read_sampling(Fields(json), out.sampling);
  if (!status) out.error = status.error();
  return out;
}

TEST(SamplingFields, EveryFieldGoesWhereItBelongs) {
  const Read all =
      read_fields(R"({"temperature": 0.5, "top_p": 0.25, "top_k": -1, "min_p": 0.125, "typical_p": 0.75,
    "repetition_penalty": 1.5, "presence_penalty": -1, "frequency_penalty": 2, "repeat_last_n": 64,
    "dry_multiplier": 0.5, "dry_base": 2, "dry_allowed_length": 3, "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":"], "xtc_probability": 0.5, "xtc_threshold": 0.25,
    "mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.5, "seed": 7, "logit_bias": {"5": -100}})");
  ASSERT_EQ(all.error.message, "");
  const SamplerOptions options = all.sampling.over({});
  EXPECT_TRUE(check_sampler_options(options));
  EXPECT_EQ(options.temperature, 0.5f);
  EXPECT_EQ(options.top_p, 0.25f);
  EXPECT_EQ(options.top_k, 0u);
  EXPECT_EQ(options.min_p, 0.125f);
  EXPECT_EQ(options.typical_p, 0.75f);
  EXPECT_EQ(options.repetition_penalty, 1.5f);
  EXPECT_EQ(options.presence_penalty, -1.0f);
  EXPECT_EQ(options.frequency_penalty, 2.0f);
  EXPECT_EQ(options.penalty_window, 64u);
  EXPECT_EQ(options.dry_multiplier, 0.5f);
  EXPECT_EQ(options.dry_base, 2.0f);
  EXPECT_EQ(options.dry_allowed_length, 3u);
  EXPECT_EQ(options.dry_window, SamplerOptions::kAllTokens);
  EXPECT_EQ(options.dry_breakers, (std::vector<std::string>{"\n", ":"}));
  EXPECT_EQ(options.xtc_probability, 0.5f);
  EXPECT_EQ(options.xtc_threshold, 0.25f);
  EXPECT_TRUE(options.mirostat);
  EXPECT_EQ(options.mirostat_tau, 4.0f);
  EXPECT_EQ(options.mirostat_eta, 0.5f);
  EXPECT_EQ(options.seed, 7u);
  EXPECT_EQ(options.logit_bias.at(5), -100.0f);
}

TEST(SamplingFields, WhatIsNotSaidIsTheRecommendation) {
  const SamplerOptions recommended{.repetition_penalty = 1.25f, .temperature = 0.25f, .min_p = 0.5f};
  const SamplerOptions options =
      read_fields(R"({"min_p": 0, "mirostat": 0, "top_p": null})").sampling.over(recommended);
  EXPECT_EQ(options.temperature, 0.25f);
  EXPECT_EQ(options.repetition_penalty, 1.25f);
  EXPECT_EQ(options.min_p, 0.0f);
  EXPECT_FALSE(options.mirostat);
}

TEST(SamplingFields, ErrorsNameTheField) {
  const auto refused = [](const std::string& field, const std::string& value) {
    const Error error = read_fields("{\"" + field + "\": " + value + "}").error;
    EXPECT_TRUE(error.message.starts_with(field)) << field << " " << value << ": " << error.message;
  };
  for (const char* field :
       {"temperature", "top_p", "min_p", "typical_p", "repetition_penalty", "presence_penalty",
        "frequency_penalty", "dry_multiplier", "dry_base", "xtc_probability", "xtc_threshold", "mirostat",
        "mirostat_tau", "mirostat_eta", "top_k", "repeat_last_n", "dry_allowed_length", "dry_penalty_last_n"})
    for (const char* value : {"-9223372036854775808", "1e308", "\"1\"", "[]", "{}", "true"})
      refused(field, value);
  refused("mirostat", "1");
  refused("top_k", "0.5");
  refused("dry_sequence_breakers", "7");
  refused("dry_sequence_breakers", "[7]");
  refused("dry_sequence_breakers", Json(std::vector<std::string>(65, "x")).dump());
  refused("dry_sequence_breakers", Json(std::vector<std::string>{std::string(300, 'x')}).dump());
}

}  // namespace
}  // namespace atelier::server
