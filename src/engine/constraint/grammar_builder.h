// Expressions and rules from which a Grammar is compiled: what JSON Schema, regular expressions and GBNF are
// translated to.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/code_points.h"
#include "engine/constraint/grammar.h"

namespace atelier::constraint {

using ExprId = uint32_t;
using RuleId = uint32_t;

// A finite automaton whose edges are expressions; state 0 is its start.
struct ExprAutomaton {
  struct Edge {
    ExprId label;
    uint32_t target;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepting = false;
  };
  std::vector<State> states;
};

class GrammarBuilder {
 public:
  GrammarBuilder();

  // Every expression may be used any number of times.
  ExprId empty() const { return kEmpty; }  // matches the empty text
  ExprId never() const { return kNever; }  // matches nothing at all
  ExprId bytes(std::string_view text);
  ExprId chars(const CodePointSet& set);  // one character, in UTF-8
  ExprId sequence(std::span<const ExprId> parts);
  ExprId sequence(std::initializer_list<ExprId> parts) { return sequence(std::span(parts)); }
  ExprId choice(std::span<const ExprId> alternatives);
  ExprId choice(std::initializer_list<ExprId> alternatives) { return choice(std::span(alternatives)); }
  ExprId repeat(ExprId body, uint32_t min, uint32_t max);  // max: kUnbounded for no limit
  ExprId optional(ExprId body) { return repeat(body, 0, 1); }
  ExprId automaton(const ExprAutomaton& automaton);

  // A rule may be used before it is defined; one that never is matches nothing. `name` is for messages.
  RuleId declare(std::string name);
  void define(RuleId rule, ExprId body) { rules_[rule].body = body; }
  ExprId rule(RuleId rule);
  size_t n_rules() const { return rules_.size(); }

  bool is_never(ExprId e) const { return e == kNever; }
  // Past the limits on size or nesting: build() will refuse, so a caller need not go on.
  bool full() const { return full_ || too_deep_; }

  // Errors: kLimit (size, nesting), kUnsupported (a rule that begins with itself by way of others; the
  // message names them), kInvalidArgument (nothing can be matched).
  Result<std::shared_ptr<const Grammar>> build(RuleId root);

 private:
  friend class GrammarCompiler;

  enum class Kind : uint8_t {
    kEmpty,
    kNever,
    kBytes,
    kChars,
    kSequence,
    kChoice,
    kRepeat,
    kRule,
    kAutomaton
  };
  struct Expr {
    Kind kind;
    uint32_t first = 0;  // of children_, text_, sets_, automata_, or the rule
    uint32_t count = 0;  // of children or bytes
    uint32_t min = 0, max = 0;
    uint32_t size = 1;   // states it will take, about
    uint16_t depth = 1;  // of nested expressions
  };
  struct Rule {
    std::string name;
    ExprId body = kNever;
  };
  static constexpr ExprId kEmpty = 0, kNever = 1;

  ExprId add(Expr expr);
  ExprId add_parts(Kind kind, std::span<const ExprId> parts);
  std::span<const ExprId> children(const Expr& e) const {
    return std::span(children_).subspan(e.first, e.count);
  }
  std::string_view text(const Expr& e) const { return std::string_view(text_).substr(e.first, e.count); }

  std::vector<Expr> exprs_;
  std::vector<ExprId> children_;
  std::string text_;
  std::vector<CodePointSet> sets_;
  std::deque<ExprAutomaton> automata_;  // those that are being compiled stay where they are when more come
  std::vector<Rule> rules_;
  bool full_ = false, too_deep_ = false;
};

}  // namespace atelier::constraint
