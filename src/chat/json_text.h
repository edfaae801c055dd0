// JSON as text, in the two spellings that prompts were trained on. nlohmann's own dump differs from both in
// numbers and separators, and a different spelling is different tokens.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::chat {

using Json = nlohmann::ordered_json;  // keeps the author's key order

// Deeper nesting is refused everywhere in this folder, so that recursion over a value is bounded.
inline constexpr int kMaxJsonDepth = 64;
inline constexpr size_t kMaxJsonValues = size_t{1} << 20;  // in one text

// Parses `text`; `what` names it in the error.
Result<Json> parse_json(std::string_view text, std::string_view what);
bool depth_within_limit(const Json& value);

// The member `key` of an object; null if absent or if `value` is no object.
const Json* member(const Json& value, const char* key);
// The same, if it is a string.
const std::string* string_member(const Json& value, const char* key);

// No spaces, shortest numbers as serde_json writes them: {"a":1.0,"b":[1e30]}. Used by harmony.
std::string compact_json(const Json& value);

// As Python's json.dumps(ensure_ascii=False): {"a": 1.0, "b": [1e+30]}; with `indent` > 0 one item a line.
// Used by chat templates ("tojson").
std::string python_json(const Json& value, int indent = 0);

}  // namespace atelier::chat
