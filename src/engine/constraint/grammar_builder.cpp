#include "engine/constraint/grammar_builder.h"

#include <algorithm>

#include "engine/constraint/grammar_compiler.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxExprs = 1'000'000;  // and as many children: about 40 MB
constexpr uint16_t kMaxDepth = 400;      // recursion over expressions stays far below a thread's stack

}  // namespace

GrammarBuilder::GrammarBuilder() {
  exprs_.push_back({.kind = Kind::kEmpty});
  exprs_.push_back({.kind = Kind::kNever});
}

ExprId GrammarBuilder::add(Expr expr) {
  if (exprs_.size() + children_.size() > kMaxExprs) full_ = true;
  if (expr.depth > kMaxDepth) too_deep_ = true;
  if (full()) return kNever;
  exprs_.push_back(expr);
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId GrammarBuilder::bytes(std::string_view text) {
  if (text.empty()) return kEmpty;
  const auto first = static_cast<uint32_t>(text_.size()), count = static_cast<uint32_t>(text.size());
  text_ += text;
  return add({.kind = Kind::kBytes, .first = first, .count = count, .size = count});
}

ExprId GrammarBuilder::chars(const CodePointSet& set) {
  if (set.empty()) return kNever;
  // Mostly one of the last few comes again.
  const size_t recent = sets_.size() < 32 ? 0 : sets_.size() - 32;
  size_t index = recent;
  while (index < sets_.size() && sets_[index] != set) ++index;
  if (index == sets_.size()) sets_.push_back(set);
  const bool ascii = set.ranges().back().last < 0x80;
  return add({.kind = Kind::kChars, .first = static_cast<uint32_t>(index), .size = ascii ? 1u : 8u});
}

ExprId GrammarBuilder::add_parts(Kind kind, std::span<const ExprId> parts) {
  Expr expr{.kind = kind,
            .first = static_cast<uint32_t>(children_.size()),
            .count = static_cast<uint32_t>(parts.size()),
            .size = 1};
  for (const ExprId part : parts) {
    expr.depth = std::max<uint16_t>(expr.depth, static_cast<uint16_t>(exprs_[part].depth + 1));
    expr.size = static_cast<uint32_t>(std::min<uint64_t>(uint64_t{expr.size} + exprs_[part].size, 1u << 30));
  }
  children_.insert(children_.end(), parts.begin(), parts.end());
  return add(expr);
}

ExprId GrammarBuilder::sequence(std::span<const ExprId> parts) {
  std::vector<ExprId> kept;
  for (const ExprId part : parts) {
    if (part == kNever) return kNever;
    if (part != kEmpty) kept.push_back(part);
  }
  if (kept.empty()) return kEmpty;
  return kept.size() == 1 ? kept[0] : add_parts(Kind::kSequence, kept);
}

ExprId GrammarBuilder::choice(std::span<const ExprId> alternatives) {
  std::vector<ExprId> kept;
  for (const ExprId alternative : alternatives)
    if (alternative != kNever && (kept.empty() || kept.back() != alternative)) kept.push_back(alternative);
  if (kept.empty()) return kNever;
  return kept.size() == 1 ? kept[0] : add_parts(Kind::kChoice, kept);
}

ExprId GrammarBuilder::repeat(ExprId body, uint32_t min, uint32_t max) {
  if (max == 0 || body == kEmpty || (body == kNever && min == 0)) return kEmpty;
  if (body == kNever || max < min) return kNever;
  if (min == 1 && max == 1) return body;
  // (x{0,j}){m,n} is x{0,jn} and (x{1,j}){m,n} is x{m,jn}: one counter where two would meet at every count.
  if (const Expr inner = exprs_[body]; inner.kind == Kind::kRepeat && inner.min <= 1) {
    const bool endless = max == kUnbounded || inner.max == kUnbounded;
    const uint64_t product = uint64_t{max} * inner.max;
    if (endless || product < kUnbounded)
      return repeat(inner.first, inner.min * min, endless ? kUnbounded : static_cast<uint32_t>(product));
  }
  return add({.kind = Kind::kRepeat,
              .first = body,
              .min = min,
              .max = max,
              .size = std::min(exprs_[body].size + 1, 1u << 30),
              .depth = static_cast<uint16_t>(exprs_[body].depth + 1)});
}

ExprId GrammarBuilder::automaton(const ExprAutomaton& automaton) {
  if (automaton.states.empty()) return kNever;
  Expr expr{.kind = Kind::kAutomaton, .first = static_cast<uint32_t>(automata_.size()), .size = 0};
  size_t size = 0;
  for (const auto& state : automaton.states) {
    size += 1 + state.edges.size();
    for (const auto& edge : state.edges) {
      expr.depth = std::max<uint16_t>(expr.depth, static_cast<uint16_t>(exprs_[edge.label].depth + 1));
      size += exprs_[edge.label].size;
    }
  }
  expr.size = static_cast<uint32_t>(std::min<size_t>(size, 1u << 30));
  automata_.push_back(automaton);
  return add(expr);
}

RuleId GrammarBuilder::declare(std::string name) {
  rules_.push_back({.name = std::move(name)});
  if (rules_.size() > kMaxExprs) full_ = true;
  return static_cast<RuleId>(rules_.size() - 1);
}

ExprId GrammarBuilder::rule(RuleId rule) { return add({.kind = Kind::kRule, .first = rule}); }

Result<std::shared_ptr<const Grammar>> GrammarBuilder::build(RuleId root) {
  if (too_deep_) return fail(ErrorCode::kLimit, "grammar: expected at most {} nested expressions", kMaxDepth);
  if (full_) return fail(ErrorCode::kLimit, "grammar: expected at most {} expressions", kMaxExprs);
  return GrammarCompiler(*this).compile(root);
}

}  // namespace atelier::constraint
