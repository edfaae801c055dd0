#include "io/gguf.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/byte_reader.h"
#include "tests/io/hostile_bytes.h"

namespace atelier::testing {
namespace {

MappedFile golden_file(const std::string& name) {
  Result<MappedFile> file = MappedFile::open(std::string(ATELIER_TEST_DATA) + "/io/" + name);
  EXPECT_TRUE(file) << file.error().message;
  return file ? std::move(*file) : MappedFile();
}

TEST(Gguf, ReadsEveryTypeThatGgufPyWrites) {
  const MappedFile mapped = golden_file("every_type.gguf");
  const Result<GgufFile> file = GgufFile::parse(mapped.bytes(), "f");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  const GgufMetadata& m = file->metadata();
  EXPECT_EQ(m.uint("test.u8"), 200u);
  EXPECT_EQ(m.integer("test.i8"), -100);
  EXPECT_EQ(m.uint("test.u16"), 60000u);
  EXPECT_EQ(m.integer("test.i16"), -30000);
  EXPECT_EQ(m.uint("test.u32"), 4'000'000'000u);
  EXPECT_EQ(m.integer("test.i32"), -2'000'000'000);
  EXPECT_EQ(m.uint("test.u64"), UINT64_MAX);
  EXPECT_EQ(m.integer("test.i64"), INT64_MIN);
  EXPECT_EQ(m.number("test.f32"), static_cast<double>(0.1f));
  EXPECT_EQ(m.number("test.f64"), 0.1);
  EXPECT_EQ(m.number("test.i8"), -100.0);
  EXPECT_EQ(m.boolean("test.bool"), true);
  EXPECT_EQ(m.string("test.string"), "naïve 字");

  const Result<GgufStrings> strings = m.strings("test.strings");
  ASSERT_TRUE(strings);
  EXPECT_EQ(std::vector<std::string>(strings->begin(), strings->end()),
            (std::vector<std::string>{"", "a", "two words", "字"}));
  const Result<GgufIntegers> ints = m.integers("test.ints");
  ASSERT_TRUE(ints);
  ASSERT_EQ(ints->size(), 3u);
  EXPECT_EQ((*ints)[1], -2);
  const Result<GgufFloats> floats = m.floats("test.floats");
  ASSERT_TRUE(floats);
  ASSERT_EQ(floats->size(), 2u);
  EXPECT_EQ((*floats)[1], -1.5);
  EXPECT_EQ((*m.integers("test.bools"))[1], 0);
}

TEST(Gguf, ReadsTheTensorsThatGgufPyWrites) {
  const MappedFile mapped = golden_file("every_type.gguf");
  const Result<GgufFile> file = GgufFile::parse(mapped.bytes(), "f");
  ASSERT_TRUE(file);
  ASSERT_EQ(file->tensors().size(), 3u);
  const TensorView& vector = file->tensors()[0];
  const TensorView& cube = file->tensors()[1];
  const TensorView& packed = file->tensors()[2];
  EXPECT_EQ(vector.name, "vector");
  EXPECT_EQ(vector.shape, Shape({5}));
  ASSERT_EQ(vector.bytes.size(), 20u);
  float last = 0;
  std::memcpy(&last, vector.bytes.data() + 16, 4);
  EXPECT_EQ(last, 4.0f);
  EXPECT_EQ(cube.shape, Shape({2, 3, 4}));
  EXPECT_EQ(cube.dtype, DType::kF16);
  EXPECT_EQ(cube.shape.rows(), 6u);
  EXPECT_EQ(packed.dtype, DType::kQ8_0);
  EXPECT_EQ(packed.shape, Shape({2, 64}));
  EXPECT_EQ(packed.bytes.size(), 4u * 34u);
}

TEST(Gguf, JsonHoldsAllButTokenizerArrays) {
  const MappedFile mapped = golden_file("every_type.gguf");
  const Result<GgufFile> file = GgufFile::parse(mapped.bytes(), "f");
  ASSERT_TRUE(file);
  const nlohmann::json json = file->metadata().to_json();
  EXPECT_EQ(json["test.u64"], UINT64_MAX);
  EXPECT_EQ(json["test.i64"], INT64_MIN);
  EXPECT_EQ(json["test.bool"], true);
  EXPECT_EQ(json["test.string"], "naïve 字");
  EXPECT_EQ(json["test.strings"], nlohmann::json::parse(R"(["","a","two words","字"])"));
  EXPECT_EQ(json["test.ints"], nlohmann::json::parse("[1,-2,3]"));
  EXPECT_EQ(json["test.bools"], nlohmann::json::parse("[true,false,true]"));
  EXPECT_FALSE(json.contains("tokenizer.ggml.tokens"));
  EXPECT_EQ(json["general.architecture"], "llama");
}

TEST(Gguf, JsonReplacesBytesThatAreNotUtf8) {
  GgufBuilder b;
  b.header(0, 1).key("k", GgufType::kString).text("a\xff\xc3(\xe5\xad\x97\xe5");
  const ExactBytes bytes(b.bytes);
  const Result<GgufFile> file = GgufFile::parse(bytes.span(), "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->metadata().to_json().dump(), "{\"k\":\"a\uFFFD\uFFFD(字\uFFFD\"}");
  EXPECT_EQ(file->metadata().string("k"), "a\xff\xc3(\xe5\xad\x97\xe5");  // as stored
}

TEST(Gguf, AccessorsSayWhatWasExpectedAndFound) {
  const MappedFile mapped = golden_file("every_type.gguf");
  const Result<GgufFile> file = GgufFile::parse(mapped.bytes(), "f");
  ASSERT_TRUE(file);
  const GgufMetadata& m = file->metadata();
  EXPECT_EQ(m.string("absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(m.string("test.u8").error().message, "key test.u8: expected string, found u8");
  EXPECT_EQ(m.strings("test.ints").error().message,
            "key test.ints: expected array of string, found array of i32");
  EXPECT_EQ(m.uint("test.i8").error().message, "key test.i8: expected a number of at least 0, found -100");
  EXPECT_EQ(m.uint("test.u64"), UINT64_MAX);
  EXPECT_EQ(m.integer("test.u64").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(m.uint_or("absent", 7), 7u);
  EXPECT_EQ(m.string_or("absent", "x"), "x");
  EXPECT_EQ(m.uint_or("test.string", 7).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(m.boolean_or("absent", true), true);
  EXPECT_EQ(m.boolean_or("test.u8", true).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(m.number_or("absent", 1.5), 1.5);
  EXPECT_EQ(m.integer_or("absent", -3), -3);
}

// Every accessor against every type: exactly the documented ones succeed.
TEST(Gguf, TypeConfusionIsAnErrorForEveryAccessorAndType) {
  for (const bool in_array : {false, true}) {
    for (const GgufType type : kEveryGgufType) {
      GgufBuilder b;
      b.header(0, 1);
      in_array ? b.array("k", type, 1) : b.key("k", type);
      b.zeros(8);
      const ExactBytes bytes(b.bytes);
      const Result<GgufFile> file = GgufFile::parse(bytes.span(), "f");
      ASSERT_TRUE(file) << file.error().message;
      const GgufMetadata& m = file->metadata();
      const bool is_float = type == GgufType::kFloat32 || type == GgufType::kFloat64;
      const bool is_integer = type != GgufType::kString && type != GgufType::kBool && !is_float;
      EXPECT_EQ(m.string("k").has_value(), !in_array && type == GgufType::kString);
      EXPECT_EQ(m.boolean("k").has_value(), !in_array && type == GgufType::kBool);
      EXPECT_EQ(m.uint("k").has_value(), !in_array && is_integer);
      EXPECT_EQ(m.integer("k").has_value(), !in_array && is_integer);
      EXPECT_EQ(m.number("k").has_value(), !in_array && (is_integer || is_float));
      EXPECT_EQ(m.strings("k").has_value(), in_array && type == GgufType::kString);
      EXPECT_EQ(m.integers("k").has_value(), in_array && (is_integer || type == GgufType::kBool));
      EXPECT_EQ(m.floats("k").has_value(), in_array && (is_integer || is_float));
    }
  }
}

TEST(Gguf, ReadsVersionTwoAlike) {
  const MappedFile mapped = golden_file("every_type.gguf");
  std::string content(as_chars(mapped.bytes()));
  content[4] = 2;
  const Result<GgufFile> file = GgufFile::parse(ExactBytes(content).span(), "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->version(), 2u);
}

// A mapped file may be overwritten after it was checked: iterating must stay inside the array all the same.
TEST(Gguf, StringIterationSurvivesLengthsThatChangeUnderIt) {
  GgufBuilder b;
  b.header(0, 1).array("k", GgufType::kString, 3).text("one").text("two").text("three");
  std::string content = b.bytes;
  auto own = std::make_unique<std::byte[]>(content.size());
  std::memcpy(own.get(), content.data(), content.size());
  const Result<GgufFile> file = GgufFile::parse({own.get(), content.size()}, "f");
  ASSERT_TRUE(file);
  const GgufStrings strings = *file->metadata().strings("k");
  const size_t first_length = content.find("one") - 8;
  for (const uint64_t length : {uint64_t{1} << 40, UINT64_MAX, uint64_t{1000}, uint64_t{24}, uint64_t{0}}) {
    std::memcpy(own.get() + first_length, &length, 8);
    size_t n = 0, characters = 0;
    for (const std::string_view text : strings) {
      ++n;
      for (const char c : text) characters += c != '\0';
    }
    EXPECT_EQ(n, 3u);
    EXPECT_LE(characters, content.size());
  }
}

}  // namespace
}  // namespace atelier::testing
