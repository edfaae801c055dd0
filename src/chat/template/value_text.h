// Values as text: Python's str() and repr(), and json.dumps as transformers calls it.
#pragma once

#include <optional>
#include <string>

#include "chat/template/budget.h"
#include "chat/template/value.h"

namespace atelier::chat::jinja {

// Text stays what it is, origin included; nothing for undefined; "None", "True", "1.5", "['a', 1]".
Status append_str(const Value& value, TextBuilder& out, Budget& budget);
Result<Text> to_str(const Value& value, Budget& budget);
// With quotes around text. What it makes of text counts as data.
Status append_repr(const Value& value, std::string& out, Budget& budget);

std::string float_repr(double value);  // "1.0", "1e+30", "inf"

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of one level; unset: all on one line
  std::string item_separator = ", ";  // "," where there is an indent
  std::string key_separator = ": ";
  bool sort_keys = false;
};
// kInvalidArgument for what JSON cannot say: undefined, a function, a namespace.
Result<std::string> to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace atelier::chat::jinja
