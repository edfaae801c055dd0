#include "io/json_text.h"

#include <gtest/gtest.h>

#include "tests/io/allocation_meter.h"

namespace atelier::testing {
namespace {

TEST(JsonText, ParsesAndSaysWhereItStopsBeingJson) {
  EXPECT_EQ((*parse_json(R"({"a":[1,2.5,"x\"]"],"b":null})"))["a"][1], 2.5);
  const auto broken = parse_json(R"({"a":1,})");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken.error().message, "expected JSON, found something else at byte 8");
  for (const char* text : {"", "{", "nul", "{} {}", "[1e999]", "\"\xff\"", "[1,]", "'a'"})
    EXPECT_FALSE(parse_json(text)) << text;
}

TEST(JsonText, DepthValuesAndSizeAreBounded) {
  const auto code = [](const std::string& text, const JsonLimits& limits) {
    const auto json = parse_json(text, limits);
    return json ? std::optional<ErrorCode>() : json.error().code;
  };
  const std::string nested = std::string(64, '[') + std::string(64, ']');
  EXPECT_EQ(code(nested, {}), std::nullopt);
  EXPECT_EQ(code("[" + nested + "]", {}), ErrorCode::kLimit);
  EXPECT_EQ(code(std::string(10'000'000, '['), {}), ErrorCode::kLimit);
  EXPECT_EQ(code("[1,2,3]", {.max_values = 5}), std::nullopt);
  EXPECT_EQ(code("[1,2,3]", {.max_values = 3}), ErrorCode::kLimit);
  EXPECT_EQ(code("\"[[[[[[,,,,\"", {.max_depth = 1, .max_values = 2}), std::nullopt);  // inside a string
  EXPECT_EQ(code("\"\\\"[[[[\"", {.max_depth = 1, .max_values = 2}), std::nullopt);
  EXPECT_EQ(code("[1,2,3]", {.max_bytes = 6}), ErrorCode::kLimit);
}

TEST(JsonText, TheLargestAllowedTextsTakeLittleMemory) {
  const JsonLimits limits;
  std::string zeros = "[0", objects = "[{}", keys = "{";
  while (zeros.size() < 2 * (limits.max_values - 10)) zeros += ",0";
  while (objects.size() < 3 * (limits.max_values / 2 - 10)) objects += ",{}";
  for (size_t i = 0; i + 10 < limits.max_values; ++i) keys += fmt::format("\"{:x}\":0,", i);
  keys += "\"x\":0";
  for (const std::string& text : {zeros + "]", objects + "]", keys + "}"}) {
    const AllocationMeter meter;
    const auto json = parse_json(text);
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_LE(meter.peak_bytes(), 4 * text.size() + (16u << 20));
  }
}

}  // namespace
}  // namespace atelier::testing
