// GGUF files that attack: truncations, mutations, and what others' parsers fell over, rebuilt.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/byte_reader.h"
#include "io/gguf.h"
#include "tests/io/hostile_bytes.h"

namespace atelier::testing {
namespace {

constexpr uint32_t kF32 = 0, kQ8_0 = 8;

// Keys of every type, three tensors; its size is a whole number of alignments, so no prefix is complete.
GgufBuilder valid_file() {
  GgufBuilder b;
  b.header(3, 14);
  b.key("general.architecture", GgufType::kString).text("llama");
  b.key("general.alignment", GgufType::kUint32).number<uint32_t>(16);
  b.key("a", GgufType::kUint8).raw("\x01").key("b", GgufType::kInt8).raw("\xff");
  b.key("c", GgufType::kUint16).raw("\x01\x02").key("d", GgufType::kInt16).raw("\x01\x02");
  b.key("e", GgufType::kInt32).raw("abcd").key("f", GgufType::kFloat32).raw("abcd");
  b.key("g", GgufType::kBool).raw("\x01").key("h", GgufType::kUint64).raw("abcdefgh");
  b.key("i", GgufType::kFloat64).raw("abcdefgh");
  b.array("j", GgufType::kString, 2).text("").text("xyz");
  b.array("k", GgufType::kUint16, 3).raw("abcdef");
  b.array("l", GgufType::kFloat32, 0);
  b.tensor("first", {4, 2}, kF32, 0).tensor("second", {64}, kQ8_0, 32).tensor("third", {4, 1, 1}, kF32, 112);
  b.pad(16).zeros(112 + 16);
  return b;
}

// Uses all that a parsed file offers, so that a sanitizer sees any view that points elsewhere.
size_t touch_everything(const GgufFile& file) {
  size_t sum = file.metadata().to_json().dump().size();
  for (const GgufEntry& entry : file.metadata().entries()) {
    sum += entry.key.size();
    for (const std::byte byte : entry.value.bytes) sum += static_cast<size_t>(byte);
    if (const auto strings = file.metadata().strings(entry.key))
      for (const std::string_view text : *strings) sum += text.size();
    if (const auto numbers = file.metadata().integers(entry.key))
      for (size_t i = 0; i < numbers->size(); ++i) sum += static_cast<size_t>((*numbers)[i]);
    if (const auto numbers = file.metadata().floats(entry.key))
      for (size_t i = 0; i < numbers->size(); ++i) sum += (*numbers)[i] > 0;
  }
  for (const TensorView& tensor : file.tensors()) {
    sum += tensor.name.size() + tensor.shape.to_string().size();
    for (const std::byte byte : tensor.bytes) sum += static_cast<size_t>(byte);
    EXPECT_EQ(tensor.bytes.size(), *row_bytes(tensor.dtype, tensor.shape.cols()) * tensor.shape.rows());
  }
  return sum;
}

// Either a file that can be used or a typed error.
bool parses(std::string_view content) {
  const ExactBytes bytes(content);
  const Result<GgufFile> file = GgufFile::parse(bytes.span(), "f");
  if (file)
    EXPECT_GT(touch_everything(*file), 0u);
  else
    expect_typed(file.error());
  return file.has_value();
}

void expect_refused(const GgufBuilder& b, ErrorCode code, std::string_view part_of_message) {
  const ExactBytes bytes(b.bytes);
  const Result<GgufFile> file = GgufFile::parse(bytes.span(), "f");
  ASSERT_FALSE(file) << part_of_message;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_NE(file.error().message.find(part_of_message), std::string::npos) << file.error().message;
}

TEST(GgufHostile, TheValidFileIsValid) {
  EXPECT_TRUE(parses(valid_file().bytes));
  EXPECT_TRUE(parses(GgufBuilder().header(0, 0).bytes));
}

TEST(GgufHostile, EveryStrictPrefixIsRefused) {
  const std::string content = valid_file().bytes;
  size_t refused = 0;
  for (size_t length = 0; length < content.size(); ++length)
    refused += !parses(std::string_view(content).substr(0, length));
  EXPECT_EQ(refused, content.size());
  print_sweep("GGUF, strict prefixes", content.size(), refused);
}

TEST(GgufHostile, EveryByteTimesEightBitsAndEveryByteValueOfTheHeader) {
  const std::string content = valid_file().bytes;
  size_t accepted = 0;
  for (size_t at = 0; at < content.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string mutated = content;
      mutated[at] = static_cast<char>(mutated[at] ^ (1 << bit));
      accepted += parses(mutated);
    }
  for (size_t at = 0; at < 24; ++at)
    for (int value = 0; value < 256; ++value) {
      std::string mutated = content;
      mutated[at] = static_cast<char>(value);
      accepted += parses(mutated);
    }
  EXPECT_GT(accepted, 100u);  // values and letters may change; the rest of the sweep was refused
  print_sweep("GGUF, bytes", content.size() * 8 + 24 * 256, content.size() * 8 + 24 * 256 - accepted);
}

TEST(GgufHostile, EveryIntegerFieldTimesTwelveBoundaryValues) {
  const GgufBuilder valid = valid_file();
  size_t refused = 0, tried = 0;
  for (const GgufBuilder::Field& field : valid.fields) {
    uint64_t now = 0;
    std::memcpy(&now, valid.bytes.data() + field.at, field.width);
    for (const uint64_t value : boundary_values(now)) {
      std::string mutated = valid.bytes;
      std::memcpy(mutated.data() + field.at, &value, field.width);
      ++tried;
      refused += !parses(mutated);
    }
  }
  EXPECT_GE(valid.fields.size(), 55u);
  EXPECT_GT(refused, tried / 2);
  print_sweep("GGUF, integer fields", tried, refused);
}

// Two integer fields at once, where one alone is caught early: sums and products that wrap together.
TEST(GgufHostile, PairsOfIntegerFieldsTimesBoundaryValues) {
  GgufBuilder b;
  b.header(1, 1).array("k", GgufType::kUint32, 1).raw("abcd").tensor("t", {4, 2}, kF32, 0).pad(32).zeros(32);
  size_t tried = 0, refused = 0;
  for (const GgufBuilder::Field& first : b.fields)
    for (const GgufBuilder::Field& second : b.fields)
      for (const uint64_t one : boundary_values(2))
        for (const uint64_t two : boundary_values(2)) {
          std::string mutated = b.bytes;
          std::memcpy(mutated.data() + first.at, &one, first.width);
          std::memcpy(mutated.data() + second.at, &two, second.width);
          ++tried;
          refused += !parses(mutated);
        }
  print_sweep("GGUF, pairs of integer fields", tried, refused);
}

TEST(GgufHostile, CountsThatOverflow) {
  for (const uint64_t count : {uint64_t{1} << 16, uint64_t{1} << 32, uint64_t{1} << 59, uint64_t{1} << 61,
                               uint64_t{1} << 63, UINT64_MAX / 24, UINT64_MAX / 32 + 1, UINT64_MAX}) {
    expect_refused(GgufBuilder().header(0, count).zeros(100), ErrorCode::kCorrupt, "keys to fit the file");
    expect_refused(GgufBuilder().header(count, 0).zeros(100), ErrorCode::kCorrupt, "tensors to fit the file");
  }
}

TEST(GgufHostile, DimensionsWhoseProductWraps) {
  const std::string_view wraps = "whose product is";
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {1ull << 32, 1ull << 32}, kF32, 0).zeros(64),
                 ErrorCode::kCorrupt, wraps);
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {1ull << 31, 1ull << 31, 8}, kF32, 0).zeros(64),
                 ErrorCode::kCorrupt, wraps);
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {UINT64_MAX, UINT64_MAX}, kF32, 0).zeros(64),
                 ErrorCode::kCorrupt, wraps);
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {0}, kF32, 0).zeros(64), ErrorCode::kCorrupt, wraps);
  // The elements fit 64 bits, their bytes do not.
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {1ull << 62}, kF32, 0).zeros(64), ErrorCode::kCorrupt,
                 "rows of whole F32 blocks");
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {1ull << 32, 1ull << 31}, kF32, 0).zeros(64),
                 ErrorCode::kCorrupt, "rows of whole F32 blocks");
}

TEST(GgufHostile, AlignmentsThatAreNone) {
  const auto with = [](uint32_t alignment) {
    return GgufBuilder().header(0, 1).key("general.alignment", GgufType::kUint32).number(alignment);
  };
  for (const uint32_t alignment : {0u, 3u, 24u, 33u, 1u << 17, 1u << 31, UINT32_MAX})
    expect_refused(with(alignment), ErrorCode::kCorrupt, "power of two");
  EXPECT_TRUE(parses(with(65536).bytes));
  expect_refused(GgufBuilder().header(0, 1).key("general.alignment", GgufType::kString).text("32"),
                 ErrorCode::kCorrupt, "expected integer, found string");
  expect_refused(GgufBuilder().header(0, 1).key("general.alignment", GgufType::kInt32).number<int32_t>(-32),
                 ErrorCode::kCorrupt, "at least 0");
}

TEST(GgufHostile, ArraysLongerThanTheFileNestedOrOfNoType) {
  for (const GgufType type : kEveryGgufType)
    for (const uint64_t count : {uint64_t{9}, uint64_t{1} << 61, uint64_t{1} << 63, UINT64_MAX})
      EXPECT_FALSE(parses(GgufBuilder().header(0, 1).array("k", type, count).zeros(8).bytes));
  expect_refused(GgufBuilder().header(0, 1).array("k", GgufType::kArray, 1).zeros(64),
                 ErrorCode::kUnsupported, "nested");
  GgufBuilder deep;
  deep.header(0, 1).key("k", GgufType::kArray);
  for (int i = 0; i < 10000; ++i) deep.number(static_cast<uint32_t>(GgufType::kArray)).number<uint64_t>(1);
  expect_refused(deep, ErrorCode::kUnsupported, "nested");
  expect_refused(GgufBuilder().header(0, 1).key("k", static_cast<GgufType>(13)).zeros(64),
                 ErrorCode::kCorrupt, "a value type from 0 to 12");
  expect_refused(GgufBuilder().header(0, 1).array("k", static_cast<GgufType>(99), 1).zeros(64),
                 ErrorCode::kCorrupt, "an element type");
}

TEST(GgufHostile, StringsThatRunPastTheEnd) {
  for (const uint64_t length : {uint64_t{9}, uint64_t{1} << 32, UINT64_MAX - 7, UINT64_MAX}) {
    EXPECT_FALSE(
        parses(GgufBuilder().header(0, 1).key("k", GgufType::kString).number(length).zeros(8).bytes));
    EXPECT_FALSE(parses(GgufBuilder().header(0, 1).number(length).zeros(20).bytes));
    EXPECT_FALSE(parses(
        GgufBuilder().header(0, 1).array("k", GgufType::kString, 2).text("a").number(length).zeros(8).bytes));
  }
}

TEST(GgufHostile, TensorsOutsideTheFileUnalignedOrOverlapping) {
  const auto one = [](uint64_t offset, size_t data) {
    return GgufBuilder().header(1, 0).tensor("t", {8}, kF32, offset).pad(32).zeros(data);
  };
  EXPECT_TRUE(parses(one(0, 32).bytes));
  expect_refused(one(0, 31), ErrorCode::kCorrupt, "found the file to end");
  expect_refused(one(32, 63), ErrorCode::kCorrupt, "found the file to end");
  expect_refused(one(4, 64), ErrorCode::kCorrupt, "multiple of 32");
  for (const uint64_t offset : {uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX - 31})
    expect_refused(one(offset, 64), ErrorCode::kCorrupt, "found the file to end");
  const auto two = [](uint64_t offset) {
    return GgufBuilder()
        .header(2, 0)
        .tensor("a", {16}, kF32, 0)
        .tensor("b", {8}, kF32, offset)
        .pad(32)
        .zeros(96);
  };
  EXPECT_TRUE(parses(two(64).bytes));
  expect_refused(two(32), ErrorCode::kCorrupt, "inside another tensor");
  expect_refused(two(0), ErrorCode::kCorrupt, "inside another tensor");
}

TEST(GgufHostile, NamesThatAreDoubleEmptyLongOrUnprintable) {
  expect_refused(
      GgufBuilder().header(2, 0).tensor("t", {8}, kF32, 0).tensor("t", {8}, kF32, 32).pad(32).zeros(64),
      ErrorCode::kCorrupt, "found two");
  expect_refused(
      GgufBuilder().header(0, 2).key("k", GgufType::kUint8).zeros(1).key("k", GgufType::kInt8).zeros(1),
      ErrorCode::kCorrupt, "found twice");
  for (const std::string_view name :
       {std::string_view(""), std::string_view("a\nb"), std::string_view("\x1b[2J"),
        std::string_view("a\0b", 3), std::string_view("\xff")}) {
    expect_refused(GgufBuilder().header(1, 0).tensor(name, {8}, kF32, 0).pad(32).zeros(64),
                   ErrorCode::kCorrupt, "printable UTF-8");
    expect_refused(GgufBuilder().header(0, 1).key(name, GgufType::kUint8).zeros(8), ErrorCode::kCorrupt,
                   "printable UTF-8");
  }
  expect_refused(GgufBuilder().header(1, 0).tensor(std::string(256, 'x'), {8}, kF32, 0).pad(32).zeros(64),
                 ErrorCode::kLimit, "at most 255 bytes");
  expect_refused(GgufBuilder().header(0, 1).key(std::string(65536, 'x'), GgufType::kUint8).zeros(8),
                 ErrorCode::kLimit, "at most 65535 bytes");
}

TEST(GgufHostile, VersionsAndTypesWeDoNotRead) {
  expect_refused(GgufBuilder().header(0, 0, 1), ErrorCode::kUnsupported, "found 1");
  expect_refused(GgufBuilder().header(0, 0, 4), ErrorCode::kUnsupported, "found 4");
  expect_refused(GgufBuilder().header(0, 0, 0x03000000), ErrorCode::kUnsupported, "big-endian");
  expect_refused(GgufBuilder().header(0, 0, 0), ErrorCode::kUnsupported, "found 0");
  expect_refused(GgufBuilder().raw("GGML").zeros(40), ErrorCode::kCorrupt, "\"GGUF\"");
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {256}, 16, 0).pad(32).zeros(64),
                 ErrorCode::kUnsupported, "IQ2_XXS (ggml type 16)");
  for (const uint32_t type : {4u, 5u, 31u, 1000u, UINT32_MAX})
    EXPECT_FALSE(parses(GgufBuilder().header(1, 0).tensor("t", {256}, type, 0).pad(32).zeros(2048).bytes));
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {33}, kQ8_0, 0).pad(32).zeros(64),
                 ErrorCode::kCorrupt, "whole Q8_0 blocks");
  expect_refused(GgufBuilder().header(1, 0).tensor("t", {1, 1, 1, 1, 1, 1}, kF32, 0).pad(32).zeros(64),
                 ErrorCode::kUnsupported, "at most 5 dimensions");
  expect_refused(GgufBuilder().header(1, 0).text("t").number(UINT32_MAX).zeros(64), ErrorCode::kUnsupported,
                 "at most 5 dimensions");
}

// Files packed as densely as their format lets them be, wrong only at the very end.
TEST(GgufHostile, RefusingTakesAtMostFourTimesTheFileAndSixteenMebibytes) {
  GgufBuilder keys;
  keys.header(0, kMaxGgufKeys);
  for (uint64_t i = 0; i < kMaxGgufKeys; ++i)
    keys.key(fmt::format("{:x}", i), GgufType::kUint8).raw(i + 1 == kMaxGgufKeys ? "" : "x");
  GgufBuilder tensors;
  constexpr uint64_t kTensors = 400'000;
  tensors.header(kTensors, 1).key("general.alignment", GgufType::kUint8).raw("\x01");
  for (uint64_t i = 0; i < kTensors; ++i) tensors.tensor(fmt::format("{:x}", i), {1}, 24, i);
  tensors.zeros(kTensors - 1);
  GgufBuilder strings;
  strings.header(0, 1).array("k", GgufType::kString, 1 << 20);
  strings.zeros((8u << 20) - 1);
  GgufBuilder bytes;
  bytes.header(0, 2)
      .array("k", GgufType::kUint8, 16 << 20)
      .zeros(16 << 20)
      .key("k", GgufType::kUint8)
      .raw("x");
  for (const auto& [b, what] :
       {std::pair(&keys, "a GGUF of keys"), std::pair(&tensors, "a GGUF of tensors"),
        std::pair(&strings, "a GGUF of strings"), std::pair(&bytes, "a GGUF of one array")}) {
    const ExactBytes exact(b->bytes);
    const RefusalCost cost(b->bytes.size());
    const Result<GgufFile> file = GgufFile::parse(exact.span(), "f");
    ASSERT_FALSE(file);
    expect_typed(file.error());
    cost.expect_bounded(what);
  }
}

}  // namespace
}  // namespace atelier::testing
