// The language of a regular expression, as a grammar expression or as an automaton that can be combined.
#pragma once

#include "engine/constraint/char_dfa.h"
#include "engine/constraint/regex.h"

namespace atelier::constraint {

enum class RegexMatch : uint8_t {
  kWhole,   // the text matches from end to end
  kSearch,  // some part of it matches, as JSON Schema's `pattern` has it
};

// Keeps counts as counters. Anchors inside the expression take the way over the automaton.
Result<ExprId> regex_expr(const Regex& regex, RegexMatch match, GrammarBuilder& builder,
                          const CharWriter& write);

// kLimit where the automaton would have more than 10,000 states.
Result<CharDfa> regex_dfa(const Regex& regex, RegexMatch match);

// If the expression is ^[…]{m,n}$, a class repeated and nothing else: what it says.
struct RepeatedClass {
  CodePointSet set;
  uint32_t min, max;
};
std::optional<RepeatedClass> repeated_class(const Regex& regex);

}  // namespace atelier::constraint
