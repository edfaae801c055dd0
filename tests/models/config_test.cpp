// Configurations that make no sense: every one an error that names the field, never a crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/config_reader.h"
#include "models/registry.h"
#include "tests/figure.h"
#include "tests/models/model_runner.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ConfigTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = info->name();
    std::ranges::replace(name, '/', '_');
    folder_ = fs::path(::testing::TempDir()) / ("config_" + name);
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    source_ = fs::path(ATELIER_TEST_DATA) / "models" / GetParam();
    for (const auto& entry : fs::directory_iterator(source_))
      if (entry.path().extension() == ".safetensors" || entry.path().string().ends_with(".index.json"))
        fs::create_symlink(entry.path(), folder_ / entry.path().filename());
    std::ifstream(source_ / name_of_config()) >> config_;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string name_of_config() const {
    return fs::exists(source_ / "config.json") ? "config.json" : "params.json";
  }

  // Gemma's configurations may leave out what transformers has a default for.
  bool has_defaults() const { return config_.value("model_type", "") == "gemma3_text"; }

  // Nothing if the model loads.
  std::optional<Error> load(const json& config) const {
    std::ofstream(folder_ / name_of_config()) << config.dump();
    const auto model = testing::open_model(folder_);
    return model ? std::nullopt : std::optional<Error>(model.error());
  }

  fs::path folder_, source_;
  json config_;
};

TEST_P(ConfigTest, LoadsAsPublished) {
  const auto error = load(config_);
  EXPECT_FALSE(error) << error->message;
}

// Every number, in turn, missing, wrong, huge, negative, fractional, and of another type. Whatever the loader
// makes of it, it makes without crashing, and most of the time it is an error in the configuration or a
// tensor that does not fit.
TEST_P(ConfigTest, EveryFieldMayBeAnything) {
  const std::vector<json> values = {nullptr, 0,     -1,    1,  3,    1 << 20, UINT64_MAX,    INT64_MIN,
                                    0.5,     1e308, "two", "", true, false,   json::array(), json::object()};
  size_t n_errors = 0, n_loaded = 0;
  for (const auto& [key, value] : config_.items()) {
    for (const json& wrong : values) {
      json config = config_;
      config[key] = wrong;
      if (const auto error = load(config)) {
        ++n_errors;
        EXPECT_FALSE(error->message.empty());
        EXPECT_EQ(error->message.find('\n'), std::string::npos) << error->message;
        EXPECT_TRUE(error->code == ErrorCode::kCorrupt || error->code == ErrorCode::kUnsupported ||
                    error->code == ErrorCode::kNotFound || error->code == ErrorCode::kLimit)
            << key << " = " << wrong << ": " << error->message;
      } else {
        ++n_loaded;
      }
    }
    json config = config_;
    config.erase(key);
    load(config);
  }
  EXPECT_GT(n_errors, n_loaded / 4);
  testing::print_figure(
      "hostile files, {}, every field of the configuration: {} tried, {} refused with a typed error, {} load",
      GetParam(), n_errors + n_loaded, n_errors, n_loaded);
}

TEST_P(ConfigTest, RequiredSizesAreChecked) {
  const std::vector<std::string> keys = {"num_hidden_layers",
                                         "hidden_size",
                                         "num_attention_heads",
                                         "intermediate_size",
                                         "n_layers",
                                         "dim",
                                         "n_heads",
                                         "n_layer",
                                         "n_embd",
                                         "n_head"};
  size_t n_checked = 0;
  for (const std::string& key : keys) {
    if (!config_.contains(key)) continue;
    for (const json& wrong : {json(0), json(-3), json("8"), json(1e9), json(nullptr)}) {
      if (wrong.is_null() && has_defaults()) continue;
      json config = config_;
      config[key] = wrong;
      const auto error = load(config);
      ASSERT_TRUE(error) << key << " = " << wrong;
      EXPECT_NE(error->message.find(key), std::string::npos) << error->message;
      EXPECT_EQ(error->code, ErrorCode::kCorrupt);
    }
    ++n_checked;
  }
  EXPECT_GE(n_checked, 3u);
}

INSTANTIATE_TEST_SUITE_P(Models, ConfigTest,
                         ::testing::Values("llama-f32", "llama-bf16-tied-llama3-rope", "llama3-meta",
                                           "gpt-oss-hf", "gpt-oss-original", "gpt2-hf", "qwen2-hf",
                                           "qwen3-hf", "gemma3-hf"),
                         [](const auto& name) {
                           std::string identifier = name.param;
                           std::ranges::replace(identifier, '-', '_');
                           return identifier;
                         });

TEST(ConfigReader, ListsOfStrings) {
  const json object = {{"types", {"a", "b"}}, {"mixed", {"a", 1}}, {"scalar", "a"}};
  const ConfigReader config(object, "");
  EXPECT_EQ(*config.texts("types"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(config.texts("absent")->empty());
  EXPECT_FALSE(config.texts("mixed"));
  EXPECT_FALSE(config.texts("scalar"));
}

TEST(ConfigReader, BoundsAndPrefixes) {
  const json object = {{"m.n", 7}, {"m.big", 1e30}, {"m.negative", -1}, {"m.half", 0.5}};
  const ConfigReader config(object, "m.");
  EXPECT_EQ(*config.size("n", 7), 7u);
  const auto over = config.size("n", 6);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().message, "configuration: m.n: expected an integer from 1 to 6, found 7");
  EXPECT_FALSE(config.size("big", kMaxDim));
  EXPECT_FALSE(config.size("negative", kMaxDim));
  EXPECT_FALSE(config.size("half", kMaxDim));
  EXPECT_EQ(*config.size_or("absent", 9, 4), 4u);
  EXPECT_EQ(*config.number("half"), 0.5);
}

TEST(Registry, NamesWhatItKnowsForWhatItDoesNot) {
  const fs::path folder = fs::path(::testing::TempDir()) / "unknown_architecture";
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"model_type": "mamba"})";
  fs::remove(folder / "model.safetensors");
  fs::create_symlink(fs::path(ATELIER_TEST_DATA) / "models/llama-f32/model.safetensors",
                     folder / "model.safetensors");
  const auto model = testing::open_model(folder);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(model.error().message.find("'mamba'"), std::string::npos);
  EXPECT_NE(model.error().message.find("gpt-oss"), std::string::npos);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace atelier
