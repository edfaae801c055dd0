// Model files whose metadata lies: every key with a value of every type, and the ways in which others'
// loaders were led astray. Whatever a file says, what comes back is a model or a typed error.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "io/gguf.h"
#include "tests/figure.h"
#include "tests/io/hostile_bytes.h"
#include "tests/models/model_runner.h"
#include "text/tokenizer.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

// A key's value as the file has it: what follows its type.
struct Value {
  GgufType type = GgufType::kUint8;
  std::string bytes;
};

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(std::string_view characters) {
  return raw<uint64_t>(characters.size()) + std::string(characters);
}
std::string list(GgufType elem_type, uint64_t count, const std::string& elements) {
  return raw(static_cast<uint32_t>(elem_type)) + raw(count) + elements;
}

size_t width_of(GgufType type) {
  using enum GgufType;
  if (type == kUint8 || type == kInt8 || type == kBool) return 1;
  if (type == kUint16 || type == kInt16) return 2;
  return type == kUint64 || type == kInt64 || type == kFloat64 ? 8 : 4;
}

// One value of every type, and lists: empty, of numbers, of strings, longer than anything has a right to.
std::vector<Value> values_of_every_type() {
  using enum GgufType;
  std::vector<Value> values = {
      {kUint8, raw<uint8_t>(255)},       {kInt8, raw<int8_t>(-1)},    {kUint16, raw<uint16_t>(65535)},
      {kInt16, raw<int16_t>(-2)},        {kUint32, raw<uint32_t>(0)}, {kUint32, raw<uint32_t>(UINT32_MAX)},
      {kInt32, raw<int32_t>(INT32_MIN)}, {kFloat32, raw(1e38f)},      {kFloat32, raw(std::nanf(""))},
      {kBool, raw<uint8_t>(1)},          {kBool, raw<uint8_t>(0)},    {kString, text("")},
      {kString, text("<0x-1>")},         {kUint64, raw(UINT64_MAX)},  {kUint64, raw(uint64_t{1} << 63)},
      {kInt64, raw(INT64_MIN)},          {kFloat64, raw(-0.5)},       {kFloat64, raw(1e308)},
  };
  for (const GgufType type : kEveryGgufType) {
    values.push_back({kArray, list(type, 0, "")});
    if (type == kString)
      values.push_back({kArray, list(type, 3, text("a") + text("") + text("<0x100>"))});
    else
      values.push_back({kArray, list(type, 4, std::string(4 * width_of(type), '\1'))});
  }
  values.push_back({kArray, list(kInt32, 100'000, std::string(400'000, '\xff'))});
  return values;
}

// A file taken apart, to be put together with other metadata.
class Parts {
 public:
  explicit Parts(const fs::path& path) : content_(read_file(path, 64 << 20).value()) {
    auto parsed = GgufFile::parse(std::as_bytes(std::span(content_)), path.string());
    EXPECT_TRUE(parsed);
    for (const GgufEntry& entry : parsed->metadata().entries()) {
      std::string bytes(reinterpret_cast<const char*>(entry.value.bytes.data()), entry.value.bytes.size());
      if (entry.value.type == GgufType::kString) bytes = text(bytes);
      if (entry.value.type == GgufType::kArray) bytes = list(entry.value.elem_type, entry.value.count, bytes);
      metadata[std::string(entry.key)] = {entry.value.type, std::move(bytes)};
    }
    tensors_.assign(parsed->tensors().begin(), parsed->tensors().end());
    names_.reserve(tensors_.size());
    for (TensorView& tensor : tensors_) tensor.name = names_.emplace_back(tensor.name);
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  std::string file() const {
    GgufBuilder b;
    b.header(tensors_.size(), metadata.size());
    for (const auto& [key, value] : metadata) b.key(key, value.type).raw(value.bytes);
    uint64_t offset = 0;
    for (const TensorView& tensor : tensors_) {
      b.text(tensor.name).number(static_cast<uint32_t>(tensor.shape.rank));
      for (size_t i = tensor.shape.rank; i > 0; --i) b.number(tensor.shape[i - 1]);
      b.number(*dtype_to_gguf(tensor.dtype)).number(offset);
      offset = (offset + tensor.bytes.size() + 31) / 32 * 32;
    }
    b.pad(32);
    for (const TensorView& tensor : tensors_)
      b.raw({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()}).pad(32);
    return std::move(b.bytes);
  }

  std::map<std::string, Value> metadata;

 private:
  std::string content_;
  std::vector<TensorView> tensors_;
  std::vector<std::string> names_;
};

// What became of a file: loaded, or refused.
bool loads(const std::string& content, const fs::path& path, const std::string& what) {
  std::ofstream(path, std::ios::binary) << content;
  auto opened = Checkpoint::open(path);
  if (!opened) {
    expect_typed(opened.error());
    return false;
  }
  const auto tokenizer = Tokenizer::load(*opened);
  const auto model = load_model(std::make_shared<const Checkpoint>(std::move(*opened)));
  for (const Error* error : {tokenizer ? nullptr : &tokenizer.error(), model ? nullptr : &model.error()}) {
    if (error == nullptr) continue;
    EXPECT_TRUE(error->code == ErrorCode::kCorrupt || error->code == ErrorCode::kUnsupported ||
                error->code == ErrorCode::kNotFound || error->code == ErrorCode::kLimit)
        << what << ": " << error->message;
    EXPECT_FALSE(error->message.empty()) << what;
    EXPECT_EQ(error->message.find('\n'), std::string::npos) << what;
  }
  if (tokenizer) {  // one that loads can be used
    const std::vector<TokenId> ids =
        (*tokenizer)->encode("Hello, w\xc3\xb6rld 12<0x41>", Specials::kRecognised);
    (*tokenizer)->decode(ids);
  }
  return tokenizer && model;
}

class MetadataTest : public ::testing::TestWithParam<const char*> {
 protected:
  Parts parts{fs::path(ATELIER_TEST_DATA) / "models" / GetParam() / "model.gguf"};
  fs::path path = fs::path(::testing::TempDir()) / (std::string("metadata_") + GetParam() + ".gguf");
  void TearDown() override { fs::remove(path); }
};

TEST_P(MetadataTest, EveryKeyTimesEveryTypeIsAModelOrATypedError) {
  ASSERT_TRUE(loads(parts.file(), path, "as it was"));
  const std::vector<Value> values = values_of_every_type();
  size_t tried = 0, refused = 0;
  for (auto& [key, value] : parts.metadata) {
    const Value good = value;
    for (const Value& bad : values) {
      value = bad;
      ++tried;
      refused += !loads(parts.file(), path, key);
    }
    value = good;
  }
  for (const auto& [key, value] : std::map(parts.metadata)) {
    parts.metadata.erase(key);
    ++tried;
    refused += !loads(parts.file(), path, key + " is missing");
    parts.metadata[key] = value;
  }
  EXPECT_GT(refused, tried / 3);
  print_figure("hostile files, {}, every key x every type: {} tried, {} refused with a typed error, {} load",
               GetParam(), tried, refused, tried - refused);
}

INSTANTIATE_TEST_SUITE_P(Models, MetadataTest,
                         ::testing::Values("llama-gguf-q4_1", "gpt-oss-gguf-q8_0", "gpt2-gguf", "qwen2-gguf",
                                           "qwen3-gguf", "gemma3-gguf"),
                         [](const auto& name) {
                           std::string identifier = name.param;
                           std::ranges::replace(identifier, '-', '_');
                           return identifier;
                         });

// What others' loaders fell over, rebuilt.
class AdvisoryTest : public MetadataTest {
 protected:
  void expect_refused(const std::string& key, Value value, std::string_view mentions) {
    ASSERT_TRUE(parts.metadata.contains(key)) << key;
    parts.metadata[key] = std::move(value);
    std::ofstream(path, std::ios::binary) << parts.file();
    auto opened = Checkpoint::open(path);
    ASSERT_TRUE(opened) << opened.error().message;
    const auto tokenizer = Tokenizer::load(*opened);
    const auto model = load_model(std::make_shared<const Checkpoint>(std::move(*opened)));
    ASSERT_FALSE(tokenizer && model) << key;
    const std::string message = model ? tokenizer.error().message : model.error().message;
    EXPECT_NE(message.find(mentions), std::string::npos) << message;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, AdvisoryTest, ::testing::Values("llama-gguf-q4_1"));

TEST_P(AdvisoryTest, MoreLayersThanThereAreTensorsOrRoomFor) {
  expect_refused("llama.block_count", {GgufType::kUint32, raw<uint32_t>(3000)}, "block_count");
  expect_refused("llama.block_count", {GgufType::kUint32, raw<uint32_t>(1024)}, "blk.");
  expect_refused("llama.block_count", {GgufType::kUint64, raw(UINT64_MAX)}, "block_count");
}

TEST_P(AdvisoryTest, HeadsThatDivideByZeroOrDoNotDivide) {
  for (const uint32_t heads : {0u, 7u, 1u << 31})
    expect_refused("llama.attention.head_count", {GgufType::kUint32, raw(heads)}, "head");
}

TEST_P(AdvisoryTest, TokenTypesScoresAndMergesOfOtherLengths) {
  using enum GgufType;
  const std::string vocabulary = parts.metadata.at("tokenizer.ggml.tokens").bytes;
  for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{100'000}})
    expect_refused("tokenizer.ggml.token_type", {kArray, list(kInt32, count, std::string(4 * count, '\1'))},
                   "token");
}

TEST_P(AdvisoryTest, SpecialTokensOutsideTheVocabulary) {
  for (const uint32_t id : {1u << 20, UINT32_MAX}) {
    ASSERT_TRUE(parts.metadata.contains("tokenizer.ggml.eos_token_id"));
    parts.metadata["tokenizer.ggml.eos_token_id"] = {GgufType::kUint32, raw(id)};
    loads(parts.file(), path, "eos");
  }
}

// Byte tokens of SentencePiece vocabularies are spelled "<0xAB>": what only looks like one is text.
TEST_P(AdvisoryTest, ByteTokensThatAreNone) {
  Value& tokens = parts.metadata.at("tokenizer.ggml.tokens");
  uint64_t count = 0;
  std::memcpy(&count, tokens.bytes.data() + 4, sizeof count);
  for (const std::string_view odd : {"<0x-1>", "<0x100>", "<0x>", "<0xG0>", "<0x 1>", "<0x+1>", "<0x00"}) {
    std::string elements;
    for (uint64_t i = 0; i < count; ++i) elements += text(i == 0 ? odd : "t" + std::to_string(i));
    tokens.bytes = list(GgufType::kString, count, elements);
    for (const char* kind : {"llama", "gpt2"}) {
      parts.metadata["tokenizer.ggml.model"] = {GgufType::kString, text(kind)};
      loads(parts.file(), path, std::string(odd));
    }
  }
}

}  // namespace
}  // namespace atelier::testing
