#include "io/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/safetensors_writer.h"
#include "tests/io/store_fixture.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

Status fill_ones(const TensorSpec&, uint64_t, std::span<std::byte> rows) {
  std::fill(rows.begin(), rows.end(), std::byte{1});
  return {};
}

void write_safetensors(const fs::path& path, std::initializer_list<std::string> names) {
  SafetensorsWriter writer;
  for (const std::string& name : names) writer.add_tensor({name, DType::kF32, {2, 2}});
  const Status written = writer.write(path, fill_ones);
  ASSERT_TRUE(written) << written.error().message;
}

void expect_refused(const fs::path& path, ErrorCode code, std::string_view part_of_message) {
  const Result<Checkpoint> opened = Checkpoint::open(path);
  ASSERT_FALSE(opened) << part_of_message;
  EXPECT_EQ(opened.error().code, code) << opened.error().message;
  EXPECT_NE(opened.error().message.find(part_of_message), std::string::npos) << opened.error().message;
  EXPECT_NE(opened.error().message.find(path.filename().string()), std::string::npos)
      << opened.error().message;
}

fs::path golden(const std::string& name) { return std::string(ATELIER_TEST_DATA) + "/io/" + name; }

TEST(Checkpoint, OpensASplitGgufFromAnyPart) {
  for (const char* part :
       {"split-00001-of-00003.gguf", "split-00002-of-00003.gguf", "split-00003-of-00003.gguf"}) {
    const Result<Checkpoint> opened = Checkpoint::open(golden(part));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->dialect(), Dialect::kGguf);
    EXPECT_EQ(opened->architecture(), "llama");
    EXPECT_EQ(opened->files().size(), 3u);
    EXPECT_EQ(opened->metadata()["llama.block_count"], 1);
    ASSERT_EQ(opened->tensors().size(), 3u);
    for (const auto& [name, value] :
         {std::pair("first", 1.0f), std::pair("second", 2.0f), std::pair("third", 3.0f)}) {
      const TensorView* tensor = opened->find(name);
      ASSERT_NE(tensor, nullptr) << name;
      float found = 0;
      std::memcpy(&found, tensor->bytes.data() + 60, 4);
      EXPECT_EQ(found, value);
    }
    EXPECT_EQ(opened->find("fourth"), nullptr);
    EXPECT_TRUE(opened->check_files());
  }
}

TEST(Checkpoint, SplitPartsMustBeThereAndAgree) {
  const TempFolder folder;
  const auto copy = [&](const char* from, const char* to) {
    fs::copy_file(golden(from), folder / to, fs::copy_options::overwrite_existing);
  };
  copy("split-00001-of-00003.gguf", "m-00001-of-00003.gguf");
  copy("split-00002-of-00003.gguf", "m-00002-of-00003.gguf");
  Result<Checkpoint> opened = Checkpoint::open(folder / "m-00001-of-00003.gguf");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_NE(opened.error().message.find("m-00003-of-00003.gguf"), std::string::npos)
      << opened.error().message;

  copy("split-00002-of-00003.gguf", "m-00003-of-00003.gguf");
  opened = Checkpoint::open(folder / "m-00001-of-00003.gguf");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("expected split.no 2"), std::string::npos) << opened.error().message;

  copy("split-00003-of-00003.gguf", "m-00003-of-00003.gguf");
  EXPECT_TRUE(Checkpoint::open(folder / "m-00002-of-00003.gguf"));
  EXPECT_TRUE(Checkpoint::open(folder.path()));

  copy("split-00001-of-00003.gguf", "renamed.gguf");
  expect_refused(folder / "renamed.gguf", ErrorCode::kCorrupt, "-00001-of-00003.gguf");
}

TEST(Checkpoint, SplitKeysThatLieAreRefused) {
  const TempFolder folder;
  const auto part = [&](const char* name, uint32_t no, uint32_t count, int32_t tensors) {
    GgufWriter writer;
    writer.set("split.no", no);
    writer.set("split.count", count);
    writer.set("split.tensors.count", tensors);
    writer.add_tensor({"t", DType::kF32, {4}});
    ASSERT_TRUE(writer.write(folder / name, fill_ones));
  };
  part("a-00001-of-99999.gguf", 0, 99999, 1);
  expect_refused(folder / "a-00001-of-99999.gguf", ErrorCode::kLimit, "at most 1024 parts");
  part("b-00001-of-00002.gguf", 5, 2, 1);
  expect_refused(folder / "b-00001-of-00002.gguf", ErrorCode::kCorrupt, "split.no below 2");
  part("c-00001-of-00002.gguf", 0, 2, 3);
  part("c-00002-of-00002.gguf", 1, 2, 3);
  expect_refused(folder / "c-00001-of-00002.gguf", ErrorCode::kCorrupt, "expected 3 tensors in all parts");
  part("d-00001-of-00002.gguf", 0, 2, 2);
  part("d-00002-of-00002.gguf", 1, 2, 2);
  expect_refused(folder / "d-00001-of-00002.gguf", ErrorCode::kCorrupt, "found two");
}

TEST(Checkpoint, OpensAHuggingFaceFolderWithItsSideFiles) {
  const TempFolder folder;
  write(folder / "config.json", R"({"model_type":"llama","hidden_size":64})");
  write(folder / "generation_config.json", R"({"eos_token_id":[2,3]})");
  write(folder / "tokenizer_config.json", R"({"chat_template":"x"})");
  write(folder / "tokenizer.json", "{}");
  write_safetensors(folder / "model.safetensors", {"b", "a"});
  const Result<Checkpoint> opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->dialect(), Dialect::kHf);
  EXPECT_EQ(opened->architecture(), "llama");
  EXPECT_EQ(opened->metadata()["hidden_size"], 64);
  ASSERT_NE(opened->generation_config(), nullptr);
  EXPECT_EQ((*opened->generation_config())["eos_token_id"][1], 3);
  ASSERT_NE(opened->tokenizer_config(), nullptr);
  EXPECT_EQ(opened->tokenizer_json(), folder.path());
  EXPECT_EQ(opened->gguf(), nullptr);
  ASSERT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->tensors()[0].name, "a");
  EXPECT_EQ(opened->total_tensor_bytes(), 32u);
}

TEST(Checkpoint, OpensOpenAisOriginalLayoutWithTheTokenizerAbove) {
  const TempFolder folder;
  write(folder / "tokenizer.json", "{}");
  write(folder / "original/config.json",
        R"({"num_hidden_layers":24,"num_experts":32,"experts_per_token":4,"swiglu_limit":7.0})");
  write(folder / "original/dtypes.json", "{}");
  write_safetensors(folder / "original/model.safetensors", {"block.0.attn.qkv.weight"});
  for (const fs::path& path : {folder / "original", folder / "original/"}) {
    const Result<Checkpoint> opened = Checkpoint::open(path);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->dialect(), Dialect::kOriginal);
    EXPECT_EQ(opened->architecture(), "gpt_oss");
    EXPECT_EQ(opened->metadata()["num_experts"], 32);
    EXPECT_TRUE(fs::exists(opened->tokenizer_json() / "tokenizer.json"));
  }
}

TEST(Checkpoint, OpensMetasLayout) {
  const TempFolder folder;
  write(folder / "params.json", R"({"dim":64,"n_layers":2})");
  write_safetensors(folder / "consolidated.safetensors", {"layers.0.attention.wq.weight"});
  const Result<Checkpoint> opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->dialect(), Dialect::kOriginal);
  EXPECT_EQ(opened->architecture(), "llama");
  EXPECT_EQ(opened->metadata()["dim"], 64);
}

TEST(Checkpoint, OpensALoneSafetensorsFile) {
  const TempFolder folder;
  write_safetensors(folder / "x.safetensors", {"a"});
  Result<Checkpoint> opened = Checkpoint::open(folder / "x.safetensors");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->architecture(), "");
  EXPECT_TRUE(opened->metadata().empty());
  write(folder / "config.json", R"({"model_type":"gpt2"})");
  opened = Checkpoint::open(folder / "x.safetensors");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->architecture(), "gpt2");
}

TEST(Checkpoint, KnowsGgufByItsContentNotItsName) {
  const TempFolder folder;
  fs::copy_file(golden("every_type.gguf"), folder / "sha256-0123");
  EXPECT_TRUE(Checkpoint::open(folder / "sha256-0123"));
  write(folder / "x.bin", "PK\x03\x04 something");
  expect_refused(folder / "x.bin", ErrorCode::kUnsupported, "expected a GGUF or .safetensors file");
  write(folder / "x.gguf", "GGML");
  expect_refused(folder / "x.gguf", ErrorCode::kCorrupt, "\"GGUF\"");
  write(folder / "empty.gguf", "");
  expect_refused(folder / "empty.gguf", ErrorCode::kCorrupt, "\"GGUF\"");
}

TEST(Checkpoint, ShardsMustHoldWhatTheIndexSays) {
  const TempFolder folder;
  write(folder / "config.json", R"({"model_type":"llama"})");
  write_safetensors(folder / "m1.safetensors", {"a", "b"});
  write_safetensors(folder / "m2.safetensors", {"c"});
  const auto index = [&](std::string_view map) {
    write(folder / "model.safetensors.index.json", fmt::format(R"({{"weight_map":{{{}}}}})", map));
  };
  index(R"("a":"m1.safetensors","c":"m2.safetensors")");
  const Result<Checkpoint> opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->tensors().size(), 3u);
  index(R"("a":"m2.safetensors","c":"m1.safetensors")");
  expect_refused(folder.path(), ErrorCode::kCorrupt, "expected tensor a in m2.safetensors");
  index(R"("zz":"m1.safetensors")");
  expect_refused(folder.path(), ErrorCode::kCorrupt, "expected tensor zz");
  index(R"("a":"m3.safetensors")");
  expect_refused(folder.path(), ErrorCode::kNotFound, "m3.safetensors");
  write_safetensors(folder / "m2.safetensors", {"a"});
  index(R"("a":"m1.safetensors","b":"m2.safetensors")");
  expect_refused(folder.path(), ErrorCode::kCorrupt, "found two");
}

TEST(Checkpoint, FoldersThatLackSomethingSayWhat) {
  const TempFolder folder;
  expect_refused(folder.path(), ErrorCode::kNotFound, "config.json and weights");
  write(folder / "config.json", R"({"model_type":"llama"})");
  expect_refused(folder.path(), ErrorCode::kNotFound, "model*.safetensors");
  write(folder / "pytorch_model.bin", "x");
  expect_refused(folder.path(), ErrorCode::kUnsupported, "pickled weights");
  write_safetensors(folder / "model.safetensors", {"a"});
  EXPECT_TRUE(Checkpoint::open(folder.path()));
  for (const char* config : {"[]", "{}", R"({"model_type":7})", "{", "", R"({"model_type":"\ud800"})"}) {
    write(folder / "config.json", config);
    const Result<Checkpoint> opened = Checkpoint::open(folder.path());
    ASSERT_FALSE(opened) << config;
    EXPECT_NE(opened.error().message.find("config.json"), std::string::npos) << opened.error().message;
  }
  write(folder / "config.json", R"({"model_type":"llama"})");
  write(folder / "generation_config.json", "7");
  expect_refused(folder.path(), ErrorCode::kCorrupt, "expected a JSON object, found number");
}

TEST(Checkpoint, SeveralModelsInAFolderAreNotGuessedAmong) {
  const TempFolder folder;
  fs::copy_file(golden("every_type.gguf"), folder / "a.gguf");
  EXPECT_TRUE(Checkpoint::open(folder.path()));
  fs::copy_file(golden("every_type.gguf"), folder / "b.gguf");
  expect_refused(folder.path(), ErrorCode::kInvalidArgument, "found 2 GGUF files");
}

TEST(Checkpoint, FifosDevicesAndFoldersInPlaceOfFilesAreRefused) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "x.gguf").c_str(), 0600), 0);
  expect_refused(folder / "x.gguf", ErrorCode::kInvalidArgument, "FIFO");
  EXPECT_EQ(Checkpoint::open("/dev/zero").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Checkpoint::open(folder / "absent").error().code, ErrorCode::kNotFound);
  write(folder / "m/config.json", R"({"model_type":"llama"})");
  ASSERT_EQ(::mkfifo((folder / "m/model.safetensors").c_str(), 0600), 0);
  expect_refused(folder / "m", ErrorCode::kInvalidArgument, "model.safetensors");
  fs::remove(folder / "m/model.safetensors");
  fs::create_directory(folder / "m/model.safetensors");
  expect_refused(folder / "m", ErrorCode::kInvalidArgument, "found a folder");
  fs::remove_all(folder / "m/model.safetensors");
  write_safetensors(folder / "m/model.safetensors", {"a"});
  fs::remove(folder / "m/config.json");
  ASSERT_EQ(::mkfifo((folder / "m/config.json").c_str(), 0600), 0);
  expect_refused(folder / "m", ErrorCode::kInvalidArgument, "config.json");
}

TEST(Checkpoint, TruncatedWhileOpenIsAnErrorAndReadsAsZeros) {
  const TempFolder folder;
  SafetensorsWriter writer;
  writer.add_tensor({"big", DType::kU8, {64, 4096}});
  ASSERT_TRUE(writer.write(folder / "x.safetensors", fill_ones));
  const Result<Checkpoint> opened = Checkpoint::open(folder / "x.safetensors");
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->check_files());
  fs::resize_file(folder / "x.safetensors", 4096);
  size_t sum = 0;
  for (const std::byte byte : opened->tensors()[0].bytes) sum += static_cast<size_t>(byte);
  EXPECT_LT(sum, 64u * 4096u);
  EXPECT_EQ(opened->tensors()[0].name, "big");
  const Status status = opened->check_files();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace atelier::testing
