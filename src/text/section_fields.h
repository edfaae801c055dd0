// Members of the sections of a tokenizer.json, with the defaults that the format gives absent ones.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace atelier::section {

using nlohmann::json;

inline std::string type_of(const json& section) {
  if (!section.is_object()) return {};
  const auto type = section.find("type");
  return type != section.end() && type->is_string() ? type->get<std::string>() : std::string();
}

inline Result<bool> flag(const json& section, const char* name, bool fallback) {
  const auto member = section.find(name);
  if (member == section.end() || member->is_null()) return fallback;
  if (!member->is_boolean())
    return fail(ErrorCode::kCorrupt, "{} \"{}\": expected true or false", type_of(section), name);
  return member->get<bool>();
}

inline Result<std::string> text(const json& section, const char* name,
                                std::optional<std::string> fallback = {}) {
  const auto member = section.find(name);
  if (fallback && (member == section.end() || member->is_null())) return *std::move(fallback);
  if (member == section.end() || !member->is_string())
    return fail(ErrorCode::kCorrupt, "{} \"{}\": expected a string", type_of(section), name);
  return member->get<std::string>();
}

inline Result<const json*> list(const json& section, const char* name) {
  const auto member = section.find(name);
  if (member == section.end() || !member->is_array())
    return fail(ErrorCode::kCorrupt, "{} \"{}\": expected a list", type_of(section), name);
  return &*member;
}

// "pattern": {"Regex": …} or {"String": …}.
struct Pattern {
  bool is_regex = false;
  std::string text;
};
inline Result<Pattern> pattern(const json& section) {
  const auto member = section.find("pattern");
  if (member == section.end() || !member->is_object() || member->size() != 1)
    return fail(ErrorCode::kCorrupt, "{}: expected a pattern", type_of(section));
  const auto only = member->begin();
  const std::string& kind = only.key();
  if ((kind != "Regex" && kind != "String") || !only->is_string())
    return fail(ErrorCode::kCorrupt, "{}: expected a pattern", type_of(section));
  Pattern result{kind == "Regex", only->get<std::string>()};
  if (result.text.empty()) return fail(ErrorCode::kUnsupported, "{} by an empty pattern", type_of(section));
  return result;
}

}  // namespace atelier::section
