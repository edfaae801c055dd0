// Which strings a schema allows, and how they are written in JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/constraint/json_language.h"
#include "engine/constraint/regex_language.h"

namespace atelier::constraint {

struct StringSpec {
  uint32_t min_length = 0, max_length = kUnbounded;         // characters
  std::vector<std::shared_ptr<const Regex>> patterns;       // each is found in the string
  std::vector<std::shared_ptr<const Regex>> anti_patterns;  // none is
  std::optional<std::vector<std::string>> values;           // the only ones there are, in UTF-8
  std::vector<std::string> excluded;

  void merge(const StringSpec& other);
  bool is_free() const;  // any string
  // The strings, where they are listed. Errors: those of string_dfa.
  Result<std::optional<std::vector<std::string>>> finite() const;
};

// kLimit where the conditions take too large an automaton together.
Result<CharDfa> string_dfa(const StringSpec& spec);

// With its quotes. Free strings may have any legal escape, those under conditions only the ones they cannot
// do without.
Result<ExprId> string_expr(const StringSpec& spec, JsonLanguage& json);

}  // namespace atelier::constraint
