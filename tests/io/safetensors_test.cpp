#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/io/hostile_bytes.h"

namespace atelier::testing {
namespace {

std::string with_length(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof(length));
  return content.append(header).append(data);
}

const std::string kHeader =
    R"({"__metadata__":{"format":"pt"},"a.w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"U8","shape":[3],"data_offsets":[24,27]},"s":{"data_offsets":[27,29],"shape":[],"dtype":"F16"}} )";
std::string valid_safetensors() { return with_length(kHeader, std::string(29, 'x')); }

bool parses_safetensors(std::string_view content) {
  const ExactBytes bytes(content);
  const Result<SafetensorsFile> file = SafetensorsFile::parse(bytes.span(), "f");
  if (!file) {
    expect_typed(file.error());
    return false;
  }
  size_t total = 0;
  for (const TensorView& tensor : file->tensors()) {
    for (const std::byte byte : tensor.bytes) total += static_cast<size_t>(byte) & 1;
    total += tensor.name.size();
    EXPECT_EQ(tensor.bytes.size(), dtype_info(tensor.dtype).block_bytes * tensor.shape.elems());
  }
  return total < SIZE_MAX;
}

void expect_safetensors_refused(std::string_view content, ErrorCode code, std::string_view part_of_message) {
  const ExactBytes bytes(content);
  const Result<SafetensorsFile> file = SafetensorsFile::parse(bytes.span(), "f");
  ASSERT_FALSE(file) << part_of_message;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_NE(file.error().message.find(part_of_message), std::string::npos) << file.error().message;
}

// One tensor "t" of the given fields over `n` bytes of data.
std::string one(std::string_view fields, size_t n) {
  return with_length(fmt::format(R"({{"t":{{{}}}}})", fields), std::string(n, 'x'));
}

TEST(Safetensors, ReadsWhatItsOwnLibraryWrites) {
  const Result<MappedFile> mapped =
      MappedFile::open(std::string(ATELIER_TEST_DATA) + "/io/three_tensors.safetensors");
  ASSERT_TRUE(mapped);
  const Result<SafetensorsFile> file = SafetensorsFile::parse(mapped->bytes(), "f");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 3u);
  const TensorView& a = file->tensors()[0];
  EXPECT_EQ(a.name, "a.weight");
  EXPECT_EQ(a.dtype, DType::kF32);
  EXPECT_EQ(a.shape, Shape({2, 3}));
  float last = 0;
  std::memcpy(&last, a.bytes.data() + 20, 4);
  EXPECT_EQ(last, 5.0f);
  EXPECT_EQ(file->tensors()[1].shape, Shape({3}));
  EXPECT_EQ(file->tensors()[1].bytes[2], std::byte{9});
  EXPECT_EQ(file->tensors()[2].shape.rank, 0u);
  EXPECT_EQ(file->tensors()[2].dtype, DType::kF16);
}

TEST(Safetensors, EscapedNamesAreUnescaped) {
  const ExactBytes bytes(
      with_length(R"({"a\u0062\"\u5b57":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  const Result<SafetensorsFile> file = SafetensorsFile::parse(bytes.span(), "f");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors()[0].name, "ab\"字");
}

TEST(SafetensorsHostile, TheValidFileIsValid) {
  EXPECT_TRUE(parses_safetensors(valid_safetensors()));
  EXPECT_TRUE(parses_safetensors(with_length("{}", "")));
  EXPECT_TRUE(
      parses_safetensors(one(R"("dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0])", 0)));
}

TEST(SafetensorsHostile, EveryStrictPrefixIsRefused) {
  const std::string content = valid_safetensors();
  size_t refused = 0;
  for (size_t length = 0; length < content.size(); ++length)
    refused += !parses_safetensors(std::string_view(content).substr(0, length));
  EXPECT_EQ(refused, content.size());
  print_sweep("safetensors, strict prefixes", content.size(), refused);
  EXPECT_FALSE(parses_safetensors(content + "x"));
}

TEST(SafetensorsHostile, EveryHeaderByteTimesEightBitsAndEveryValue) {
  const std::string content = valid_safetensors();
  size_t tried = 0, accepted = 0;
  for (size_t at = 0; at < content.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      if (at >= 8 + kHeader.size() && value > 1) continue;  // data: any byte will do
      ++tried;
      std::string mutated = content;
      mutated[at] = static_cast<char>(value);
      accepted += parses_safetensors(mutated);
    }
  EXPECT_GT(accepted, 500u);  // letters of names and of the metadata may change
  print_sweep("safetensors, bytes", tried, tried - accepted);
}

TEST(SafetensorsHostile, EveryNumberTimesBoundaryValues) {
  const std::string content = valid_safetensors();
  for (const uint64_t length : boundary_values(kHeader.size())) {
    std::string mutated = content;
    std::memcpy(mutated.data(), &length, 8);
    EXPECT_EQ(parses_safetensors(mutated), length == kHeader.size()) << length;
  }
  const char* const digits = "0123456789";
  size_t numbers = 0, tried = 0, refused = 0;
  const auto try_header = [&](const std::string& header) {
    ++tried;
    const bool is_refused = !parses_safetensors(with_length(header, std::string(29, 'x')));
    EXPECT_TRUE(is_refused) << header;
    refused += is_refused;
  };
  for (size_t at = kHeader.find(R"("shape")"); at < kHeader.size(); ++at) {
    at = kHeader.find_first_of(digits, at);
    if (at == std::string::npos) break;
    const size_t end = kHeader.find_first_not_of(digits, at);
    const bool is_number = kHeader[at - 1] == '[' || kHeader[at - 1] == ',';
    const uint64_t now = is_number ? std::stoull(kHeader.substr(at, end - at)) : 0;
    if (is_number) ++numbers;
    for (const uint64_t value : boundary_values(now)) {
      if (!is_number || value == now) continue;
      const std::string mutated = kHeader.substr(0, at) + std::to_string(value) + kHeader.substr(end);
      try_header(mutated);
    }
    for (const char* text :
         {"-1", "1.5", "1e3", "18446744073709551616", "null", "\"1\"", "[]", "{}", "true", ""}) {
      if (!is_number) continue;
      const std::string mutated = kHeader.substr(0, at) + text + kHeader.substr(end);
      try_header(mutated);
    }
    at = end;
  }
  EXPECT_EQ(numbers, 9u);
  print_sweep("safetensors, numbers", tried, refused);
}

TEST(SafetensorsHostile, LengthsThatLie) {
  for (const uint64_t length : {uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX - 7, UINT64_MAX}) {
    std::string content = valid_safetensors();
    std::memcpy(content.data(), &length, 8);
    expect_safetensors_refused(content, ErrorCode::kCorrupt, "bytes left");
  }
  const std::string big(kMaxSafetensorsHeaderBytes + 1, ' ');
  expect_safetensors_refused(with_length(big, ""), ErrorCode::kLimit, "at most 16777216");
}

TEST(SafetensorsHostile, OffsetsThatOverlapLeaveGapsRunBackwardsOrOut) {
  const auto two = [](std::string_view first, std::string_view second) {
    return with_length(fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[{}]}},)"
                                   R"("b":{{"dtype":"U8","shape":[4],"data_offsets":[{}]}}}})",
                                   first, second),
                       std::string(8, 'x'));
  };
  EXPECT_TRUE(parses_safetensors(two("0,4", "4,8")));
  EXPECT_TRUE(parses_safetensors(two("4,8", "0,4")));
  expect_safetensors_refused(two("0,4", "0,4"), ErrorCode::kCorrupt, "a gap or an overlap");
  expect_safetensors_refused(two("0,4", "2,6"), ErrorCode::kCorrupt, "a gap or an overlap");
  expect_safetensors_refused(two("0,4", "5,9"), ErrorCode::kCorrupt, "within 8 bytes");
  expect_safetensors_refused(two("4,0", "4,8"), ErrorCode::kCorrupt, "data_offsets within");
  expect_safetensors_refused(two("0,18446744073709551615", "4,8"), ErrorCode::kCorrupt,
                             "data_offsets within");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[4],"data_offsets":[2,6])", 6), ErrorCode::kCorrupt,
                             "a gap");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])", 6), ErrorCode::kCorrupt,
                             "expected 4 bytes of tensor data, found 6");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,5])", 4),
                             ErrorCode::kCorrupt, "two data_offsets");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[4],"data_offsets":[0])", 4), ErrorCode::kCorrupt,
                             "two data_offsets");
}

TEST(SafetensorsHostile, ShapesThatWrapOrDisagree) {
  expect_safetensors_refused(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0),
                             ErrorCode::kCorrupt, "2^64 or more");
  expect_safetensors_refused(one(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])", 0),
                             ErrorCode::kCorrupt, "2^64 or more");
  expect_safetensors_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4), ErrorCode::kCorrupt,
                             "expected data_offsets that span the 8 bytes of F32 [2], found 4");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[1,1,1,1,1,1],"data_offsets":[0,1])", 1),
                             ErrorCode::kUnsupported, "at most 5 dimensions");
}

TEST(SafetensorsHostile, FieldsThatAreMissingDoubleUnknownOrOfAnotherKind) {
  expect_safetensors_refused(one(R"("shape":[1],"data_offsets":[0,1])", 1), ErrorCode::kCorrupt,
                             "found less");
  expect_safetensors_refused(one(R"("dtype":"U8","data_offsets":[0,1])", 1), ErrorCode::kCorrupt,
                             "found less");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[1])", 1), ErrorCode::kCorrupt, "found less");
  expect_safetensors_refused(one(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])", 1),
                             ErrorCode::kCorrupt, "once each");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1)", 1),
                             ErrorCode::kCorrupt, "found \"x\"");
  expect_safetensors_refused(one(R"("dtype":"C128","shape":[1],"data_offsets":[0,1])", 1),
                             ErrorCode::kUnsupported, "C128");
  expect_safetensors_refused(one(R"("dtype":7,"shape":[1],"data_offsets":[0,1])", 1), ErrorCode::kCorrupt,
                             "JSON");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":7,"data_offsets":[0,1])", 1), ErrorCode::kCorrupt,
                             "JSON");
  expect_safetensors_refused(one(R"("dtype":"U8","shape":[1],"data_offsets":"0,1")", 1), ErrorCode::kCorrupt,
                             "JSON");
  expect_safetensors_refused(with_length(R"({"__metadata__":{"a":1}})", ""), ErrorCode::kCorrupt, "JSON");
  expect_safetensors_refused(with_length(R"({"t":[1]})", ""), ErrorCode::kCorrupt, "JSON");
}

TEST(SafetensorsHostile, HeadersThatAreNotOneObject) {
  for (const char* header : {"", " ", "[]", "7", "null", "\"x\"", "{", "}", "{}{}", "{} x", "{\"a\"}",
                             "{\"a\":}", "{,}", "\xff{}", "{\"\xff\":1}"})
    EXPECT_FALSE(parses_safetensors(with_length(header, ""))) << header;
  expect_safetensors_refused(with_length(std::string(100'000, '['), ""), ErrorCode::kCorrupt, "expected");
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "{\"a\":";
  expect_safetensors_refused(with_length(nested, ""), ErrorCode::kCorrupt, "expected");
}

TEST(SafetensorsHostile, NamesThatAreDoubleEmptyOrUnprintable) {
  const auto two = [](std::string_view a, std::string_view b) {
    return with_length(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},)"
                                   R"("{}":{{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}}})",
                                   a, b),
                       std::string(8, 'x'));
  };
  expect_safetensors_refused(two("t", "t"), ErrorCode::kCorrupt, "found two");
  expect_safetensors_refused(two("t", "\\u0074"), ErrorCode::kCorrupt, "found two");
  expect_safetensors_refused(two("", "t"), ErrorCode::kCorrupt, "printable");
  expect_safetensors_refused(two("a", "\\u001b[2J"), ErrorCode::kCorrupt, "printable");
  expect_safetensors_refused(two("a", "\\u0000"), ErrorCode::kCorrupt, "printable");
  expect_safetensors_refused(two("__metadata__", "t"), ErrorCode::kCorrupt, "JSON");
}

TEST(SafetensorsHostile, RefusingTakesAtMostFourTimesTheFileAndSixteenMebibytes) {
  std::string dense = "{";
  for (int i = 0; i < 150'000; ++i)
    dense += fmt::format(R"("{:x}":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}},)", i);
  dense.back() = '}';
  std::string pairs = R"({"__metadata__":{)";
  for (int i = 0; i < 1'000'000; ++i) pairs += R"("a":"",)";
  pairs += R"("a":1}})";
  const std::string commas = "{" + std::string(4'000'000, ',');
  const std::string brackets = [] {
    std::string text = "{\"a\":";
    for (int i = 0; i < 4'000'000; ++i) text += "[]";
    return text;
  }();
  const std::string quotes = "{" + std::string(16'000'000, '"');
  for (const auto& [header, what] :
       {std::pair(dense, "tensors"), std::pair(pairs, "metadata"), std::pair(commas, "commas"),
        std::pair(brackets, "brackets"), std::pair(quotes, "quotes")}) {
    const ExactBytes exact(with_length(header, "x"));
    const RefusalCost cost(header.size());
    const Result<SafetensorsFile> file = SafetensorsFile::parse(exact.span(), "f");
    ASSERT_FALSE(file);
    expect_typed(file.error());
    cost.expect_bounded(fmt::format("a safetensors header of {}", what));
  }
}

TEST(SafetensorsIndex, ListsShardsAndTensors) {
  const auto index = SafetensorsIndex::parse(
      R"({"metadata":{"total_size":12},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}})",
      "f");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->shards(), (std::vector<std::string>{"m-2.safetensors", "m-1.safetensors"}));
  ASSERT_EQ(index->entries().size(), 3u);
  EXPECT_EQ(index->entries()[1].tensor, "b");
  EXPECT_EQ(index->entries()[1].shard, 1u);
  EXPECT_EQ(index->entries()[2].shard, 0u);
}

TEST(SafetensorsIndex, ShardNamesNeverBecomePathsElsewhere) {
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "", "..", "x.bin",
                           "a\\u0000.safetensors", "a\\n.safetensors"}) {
    const auto index = SafetensorsIndex::parse(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name), "f");
    ASSERT_FALSE(index) << name;
    EXPECT_EQ(index.error().code, ErrorCode::kCorrupt);
  }
}

TEST(SafetensorsIndex, EveryPrefixAndEveryByteIsAValueOrATypedError) {
  const std::string text =
      R"({"metadata":{"total_size":12},"weight_map":{"a":"m.safetensors","b":"n.safetensors"}})";
  for (size_t length = 0; length < text.size(); ++length) {
    const auto index = SafetensorsIndex::parse(std::string_view(text).substr(0, length), "f");
    ASSERT_FALSE(index) << length;
    expect_typed(index.error());
  }
  for (size_t at = 0; at < text.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string mutated = text;
      mutated[at] = static_cast<char>(value);
      if (const auto index = SafetensorsIndex::parse(mutated, "f"); !index) expect_typed(index.error());
    }
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i < 1025; ++i) many += fmt::format(R"("{}":"{}.safetensors",)", i, i);
  many.back() = '}';
  const auto index = SafetensorsIndex::parse(many + "}", "f");
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace atelier::testing
