// Deterministic automata over characters: regular languages that can be intersected and complemented, which
// is what several patterns on one string, excluded names and lengths come down to.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/code_points.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::constraint {

struct CharDfa {
  struct Edge {
    CodePointSet set;  // of one state's edges, no two sets overlap
    uint32_t target;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepting = false;
  };
  std::vector<State> states;  // state 0 is the start; none at all: nothing matches

  static CharDfa any();
  static CharDfa length(uint32_t min, uint32_t max);  // max: kUnbounded for no limit; below 10,000 otherwise
  static CharDfa one_of(std::span<const std::u32string> texts);

  bool is_empty() const;
  bool matches(std::u32string_view text) const;
  // Without the states from which nothing can be accepted.
  CharDfa trimmed() const;
};

// kLimit where the result would have more than 10,000 states.
Result<CharDfa> intersection(const CharDfa& a, const CharDfa& b);
CharDfa complement(const CharDfa& a);

// How one character of a set is written: as itself, or as JSON strings want it.
using CharWriter = std::function<ExprId(const CodePointSet&)>;
ExprId dfa_expr(const CharDfa& dfa, GrammarBuilder& builder, const CharWriter& write);

}  // namespace atelier::constraint
