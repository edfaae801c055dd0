// From the expressions of a GrammarBuilder to a Grammar.
#pragma once

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/constraint/grammar_builder.h"

namespace atelier::constraint {

class GrammarCompiler {
 public:
  explicit GrammarCompiler(GrammarBuilder& builder) : b_(builder) {}
  Result<std::shared_ptr<const Grammar>> compile(RuleId root);

 private:
  using Kind = GrammarBuilder::Kind;
  using Expr = GrammarBuilder::Expr;
  struct Path {
    ExprId label;
    StateId to;
  };

  // Which rules match the empty text.
  void find_nullable_rules();
  bool is_nullable(ExprId e) const;
  // What `e` matches, without the empty text.
  ExprId without_empty(ExprId e);
  ExprId without_empty_sequence(const Expr& e);
  ExprId without_empty_automaton(const Expr& e);
  // a ::= a x | y  becomes  a ::= y x*.
  void unroll_left_recursion(RuleId rule);

  // The start state of a rule, which is translated later.
  StateId start_of(RuleId rule);
  void translate(RuleId rule);

  StateId new_state();
  void emit(ExprId e, StateId from, StateId to);
  // Several ways on from one state: those that begin with literal bytes share them as far as they agree.
  void emit_all(StateId from, std::span<const Path> paths);
  StateId emit_prefix(std::map<std::pair<StateId, uint8_t>, StateId>& tree, StateId from,
                      std::string_view text);
  void emit_bytes(std::string_view text, StateId from, StateId to);
  void emit_chars(const CodePointSet& set, StateId from, StateId to);
  void emit_repeat(const Expr& e, StateId from, StateId to);
  void emit_loop(ExprId body, uint32_t min, uint32_t max, StateId from, StateId to);
  void emit_automaton(const ExprAutomaton& automaton, StateId from, StateId to);
  // A state that leads to `next` over these bytes only; the same one each time.
  StateId passage(ByteRange bytes, StateId next);

  Status check_left_recursion() const;
  std::string name_of(StateId entry) const;

  GrammarBuilder& b_;
  Grammar::Draft d_;
  std::vector<uint8_t> nullable_;                 // by rule
  std::unordered_map<ExprId, ExprId> non_empty_;  // memo of without_empty
  std::unordered_map<RuleId, RuleId> non_empty_rule_;
  std::unordered_map<RuleId, RuleId> non_empty_of_;  // the other way round
  std::unordered_map<RuleId, StateId> starts_;
  std::vector<RuleId> pending_;
  std::vector<std::pair<StateId, RuleId>> entries_;  // rules by start state, for messages
  std::unordered_map<ExprId, StateId> loop_bodies_;
  std::map<std::pair<ExprId, std::pair<uint32_t, uint32_t>>, uint32_t> loops_;
  std::map<std::pair<uint32_t, StateId>, StateId> passages_;  // (first << 8 | last, next)
  bool full_ = false;
};

}  // namespace atelier::constraint
