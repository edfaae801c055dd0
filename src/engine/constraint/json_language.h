// JSON text as grammar expressions: white space, strings and any value.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/grammar_builder.h"
#include "engine/constraint/json_value.h"

namespace atelier::constraint {

// White space between the tokens of JSON. Neither lets a model write blanks for ever.
enum class JsonSpace : uint8_t {
  kFlexible,  // at each place none, a blank, or a line end and up to 40 blanks or 10 tabs
  kCompact,   // none anywhere
};

class JsonLanguage {
 public:
  JsonLanguage(GrammarBuilder& builder, JsonSpace space);

  ExprId space() const { return space_; }
  // Any value; strings with any legal escape, numbers of up to 20 digits before and after the point.
  ExprId value() const { return builder_.rule(value_); }
  ExprId string() const { return builder_.rule(string_); }  // with its quotes
  ExprId string_char() const { return char_; }              // one character inside
  // One character of the set inside a string, in its one canonical form: escaped only where it has to be.
  ExprId canonical(const CodePointSet& set);
  ExprId quoted(ExprId content) { return builder_.sequence({quote_, content, quote_}); }

  // "{", "}" and what stands between, with white space.
  ExprId braced(ExprId content) { return enclosed("{", content, "}"); }
  ExprId bracketed(ExprId content) { return enclosed("[", content, "]"); }
  ExprId comma() const { return comma_; }
  ExprId colon() const { return colon_; }
  GrammarBuilder& builder() { return builder_; }

 private:
  ExprId enclosed(std::string_view open, ExprId content, std::string_view close);
  void define_char();
  void define_value();

  GrammarBuilder& builder_;
  ExprId space_, quote_, comma_, colon_;
  ExprId char_ = 0;
  RuleId string_, value_;
  std::vector<std::pair<CodePointSet, ExprId>> written_;  // by canonical()
};

// A string in canonical form, with its quotes; other values as they are compact JSON.
std::string json_string_text(std::string_view utf8);

}  // namespace atelier::constraint
