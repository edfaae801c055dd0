// Packed weights from a file are those that packing makes, bit for bit; whatever else lies there is not
// taken.
#include "models/packed_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/io/store_fixture.h"
#include "tests/models/model_runner.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

struct Opened {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
};
Opened open(const fs::path& path, DenseWeights dense = DenseWeights::kAsPublished) {
  Opened out;
  out.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(path).value());
  out.model = load_model(out.checkpoint, {.dense = dense}).value();
  return out;
}

class PackedFiles : public ::testing::TestWithParam<const char*> {
 protected:
  TempFolder folder_;
  fs::path file_ = folder_.path() / "a.panels";
};

std::vector<std::byte> bits(const Matrix& m) {
  std::vector<std::byte> out(m.values.size() * sizeof(float));
  std::memcpy(out.data(), m.values.data(), out.size());
  return out;
}

void expect_same_logits(const Golden& golden, DenseWeights dense, const fs::path& file, bool packed_before) {
  const RunOptions fast{.numerics = Numerics::kFast, .n_threads = 2};
  const Opened plain = open(golden.checkpoint, dense);
  const Sha256 key = checkpoint_key(*plain.checkpoint).value();
  const Matrix expected = run_model(*plain.model, golden.tokens, fast);
  const Opened source = open(golden.checkpoint, dense);
  ThreadPool pool(2);
  Model& from = packed_before ? *plain.model : *source.model;
  ASSERT_TRUE(
      write_packed_file(file, key, from.multiplied_weights(), {.pool = packed_before ? nullptr : &pool}));
  EXPECT_EQ(fs::file_size(file), packed_file_bytes(from.multiplied_weights()));

  const Opened mapped = open(golden.checkpoint, dense);
  const auto packed = PackedFile::open(file, key, mapped.model->multiplied_weights());
  ASSERT_TRUE(packed) << packed.error().message;
  for (const Weight* weight : mapped.model->multiplied_weights()) EXPECT_TRUE(weight->is_packed());
  EXPECT_EQ(bits(run_model(*mapped.model, golden.tokens, fast)), bits(expected));
  EXPECT_TRUE(packed->healthy());
}

TEST_P(PackedFiles, GiveTheSameBits) {
  const Golden golden = read_golden(GetParam());
  expect_same_logits(golden, DenseWeights::kAsPublished, file_, /*packed_before=*/false);
  expect_same_logits(golden, DenseWeights::kAsPublished, file_, /*packed_before=*/true);
}

INSTANTIATE_TEST_SUITE_P(All, PackedFiles,
                         ::testing::Values("gpt-oss-hf", "gpt-oss-gguf-q8_0", "llama-gguf-k-quants",
                                           "llama-gguf-q8_0-split", "llama3-meta", "gpt2-hf", "qwen3-fp8-hf",
                                           "gemma3-gguf"));

class PackedFileTest : public PackedFiles {};

TEST_F(PackedFileTest, OfWeightsTurnedInto8Bits) {
  expect_same_logits(read_golden("llama3-hf"), DenseWeights::kQ8, file_, false);
  expect_same_logits(read_golden("gpt-oss-hf"), DenseWeights::kQ8, file_, true);
}

// Every other file at the place is refused, and no weight has changed.
TEST_F(PackedFileTest, TakesNoOther) {
  const fs::path path = read_golden("llama-gguf-q4_1").checkpoint;
  const Opened llama = open(path);
  const Sha256 key = checkpoint_key(*llama.checkpoint).value();
  const auto refused = [&](const Sha256& wanted, DenseWeights dense = DenseWeights::kAsPublished) {
    const Opened model = open(path, dense);
    const auto found = PackedFile::open(file_, wanted, model.model->multiplied_weights());
    for (const Weight* weight : model.model->multiplied_weights()) EXPECT_FALSE(weight->is_packed());
    return found ? std::nullopt : std::optional(found.error().code);
  };
  EXPECT_EQ(refused(key), ErrorCode::kNotFound);
  ASSERT_TRUE(write_packed_file(file_, key, llama.model->multiplied_weights(), {}));
  Sha256 other = key;
  other[31] ^= 1;
  EXPECT_EQ(refused(other), ErrorCode::kCorrupt);

  const auto size = fs::file_size(file_);
  fs::resize_file(file_, size - 1);
  EXPECT_EQ(refused(key), ErrorCode::kCorrupt);
  fs::resize_file(file_, 0);
  EXPECT_EQ(refused(key), ErrorCode::kCorrupt);
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_TRUE(refused(key));
  fs::remove(file_);

  // Each byte of the head counts.
  ASSERT_TRUE(write_packed_file(file_, key, llama.model->multiplied_weights(), {}));
  const size_t head = 56 + 32 * llama.model->multiplied_weights().size();
  for (size_t at = 0; at < head; at += 7) {
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get());
    const auto put = [&](char value) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(value).flush();
    };
    put(static_cast<char>(byte ^ 0x10));
    EXPECT_EQ(refused(key), ErrorCode::kCorrupt) << "byte " << at;
    put(byte);
  }
  const Opened model = open(path);
  EXPECT_TRUE(PackedFile::open(file_, key, model.model->multiplied_weights()));
}

TEST_F(PackedFileTest, InterruptedLeavesNothing) {
  const Opened llama = open(read_golden("llama-gguf-q4_1").checkpoint);
  int asked = 0;
  const Status written = write_packed_file(file_, {}, llama.model->multiplied_weights(),
                                           {.cancelled = [&] { return ++asked == 5; }});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(asked, 5);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

// A checkpoint's key changes with its files, and with nothing else.
TEST_F(PackedFileTest, KeysFollowTheFiles) {
  const fs::path path = folder_.path() / "model.gguf";
  fs::copy_file(fs::path(ATELIER_TEST_DATA) / "models" / "llama-gguf-q4_1" / "model.gguf", path);
  const auto key = [&] { return checkpoint_key(Checkpoint::open(path).value()).value(); };
  const Sha256 first = key();
  EXPECT_EQ(key(), first);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('x');
  }
  EXPECT_NE(key(), first);
  EXPECT_NE(checkpoint_key(Checkpoint::open(read_golden("llama-gguf-mixed").checkpoint).value()).value(),
            first);
}

}  // namespace
}  // namespace atelier::testing
