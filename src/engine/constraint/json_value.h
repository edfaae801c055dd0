// JSON that keeps what a schema needs and nlohmann's parser does not: the order of members, numbers as they
// are written, and where a value stands.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace atelier::constraint {

struct JsonValue {
  enum class Kind : uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  std::string text{};  // of a string, unescaped, in UTF-8; of a number, as it was written
  std::vector<JsonValue> items{};
  std::vector<std::pair<std::string, JsonValue>> members{};

  bool is_object() const { return kind == Kind::kObject; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_number() const { return kind == Kind::kNumber; }
  bool is_bool() const { return kind == Kind::kTrue || kind == Kind::kFalse; }
  // The member of this name; null if there is none, or this is no object.
  const JsonValue* find(std::string_view name) const;

  static JsonValue string(std::string_view text) {
    return {.kind = Kind::kString, .text = std::string(text)};
  }
  static JsonValue number(size_t value) { return {.kind = Kind::kNumber, .text = std::to_string(value)}; }
  static JsonValue boolean(bool value) { return {.kind = value ? Kind::kTrue : Kind::kFalse}; }
  static JsonValue object() { return {.kind = Kind::kObject}; }
  static JsonValue array() { return {.kind = Kind::kArray}; }
  JsonValue& add(std::string_view name, JsonValue value);
};

std::string_view kind_name(JsonValue::Kind kind);  // "an object", "a number", …

struct JsonValueLimits {
  size_t max_bytes = 256u << 10;
  int max_depth = 64;
};
// `what` goes in front of messages. Errors: kLimit; kInvalidArgument with the byte: not JSON (RFC 8259), not
// UTF-8, or a member that appears twice.
Result<JsonValue> parse_json_value(std::string_view text, std::string_view what,
                                   const JsonValueLimits& limits = {});

// RFC 6901. `value` has to be part of `root`; "" for the root itself.
std::string json_pointer(const JsonValue& root, const JsonValue& value);
const JsonValue* resolve_pointer(const JsonValue& root, std::string_view pointer);

}  // namespace atelier::constraint
