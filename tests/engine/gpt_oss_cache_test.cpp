// What a whole context of gpt-oss takes: half of its layers keep a window only.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/kv_cache.h"
#include "models/synth.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

// All layers and heads of the published model; everything that the cache does not see is tiny.
ModelInfo info_of(const std::string& preset) {
  const fs::path path = fs::path(::testing::TempDir()) / ("cache_" + preset + ".gguf");
  fs::remove(path);
  SynthOptions options;
  options.architecture = "gpt-oss";
  options.preset = preset;
  options.out = path;
  options.overrides.d_model = 32;
  options.overrides.ffn_dim = 32;
  options.overrides.n_experts = 4;
  options.overrides.vocab_size = 300;
  const auto written = synthesize(options);
  EXPECT_TRUE(written) << written.error().message;
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  auto model = load_model(std::make_shared<const Checkpoint>(std::move(*checkpoint)));
  EXPECT_TRUE(model) << model.error().message;
  const ModelInfo info = (*model)->info();
  fs::remove(path);
  return info;
}

TEST(GptOssCache, AWholeContextOf20bFits) {
  const ModelInfo info = info_of("20b");
  const KvPool pool(info.cache, KvType::kF16, 0);
  const uint64_t bytes = pool.sequence_bytes(131072);
  // 12 layers of 8 heads with 64 + 64 values of 2 bytes a position, and the windows of the other 12.
  constexpr uint64_t kFull = uint64_t{12} * 8 * 128 * 2 * 131072;
  EXPECT_GE(bytes, kFull);
  EXPECT_LE(bytes, kFull + kFull / 100);
  EXPECT_LE(bytes, 3'300'000'000u);
}

TEST(GptOssCache, WindowsStopGrowing) {
  const ModelInfo info = info_of("120b");
  const KvPool pool(info.cache, KvType::kF16, 0);
  constexpr uint64_t kPerPosition = uint64_t{18} * 8 * 128 * 2;
  EXPECT_EQ(pool.sequence_bytes(131072) - pool.sequence_bytes(65536), kPerPosition * 65536);
  EXPECT_LT(pool.sequence_bytes(64), 2 * kPerPosition * 64 + 1);
}

}  // namespace
}  // namespace atelier
