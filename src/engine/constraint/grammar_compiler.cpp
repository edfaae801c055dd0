#include "engine/constraint/grammar_compiler.h"

#include <algorithm>
#include <unordered_set>

namespace atelier::constraint {
namespace {

constexpr size_t kMaxStates = 1'000'000;
// Repetitions that take no more states than this are written out: states of their own make for smaller sets
// of alternatives than counters do.
constexpr uint64_t kInlineStates = 32;

}  // namespace

Result<std::shared_ptr<const Grammar>> GrammarCompiler::compile(RuleId root) {
  find_nullable_rules();
  for (RuleId rule = 0; rule < b_.rules_.size(); ++rule) unroll_left_recursion(rule);
  d_.start = start_of(root);
  while (!pending_.empty() && !full_ && !b_.full()) {
    const RuleId rule = pending_.back();
    pending_.pop_back();
    translate(rule);
  }
  if (full_ || b_.full()) return fail(ErrorCode::kLimit, "grammar: expected at most {} states", kMaxStates);
  ATELIER_CHECK_OK(check_left_recursion());
  std::shared_ptr<const Grammar> grammar = Grammar::finish(std::move(d_));
  if (grammar == nullptr)
    return fail(ErrorCode::kInvalidArgument, "grammar: expected at least one text that matches, found none");
  return grammar;
}

bool GrammarCompiler::is_nullable(ExprId id) const {
  const Expr& e = b_.exprs_[id];
  const auto nullable = [this](ExprId child) { return is_nullable(child); };
  switch (e.kind) {
    case Kind::kEmpty:
      return true;
    case Kind::kNever:
    case Kind::kBytes:
    case Kind::kChars:
      return false;
    case Kind::kSequence:
      return std::ranges::all_of(b_.children(e), nullable);
    case Kind::kChoice:
      return std::ranges::any_of(b_.children(e), nullable);
    case Kind::kRepeat:
      return e.min == 0 || is_nullable(e.first);
    case Kind::kRule:
      return nullable_[e.first] != 0;
    case Kind::kAutomaton:
      return b_.automata_[e.first].states[0].accepting;
  }
  return false;
}

void GrammarCompiler::find_nullable_rules() {
  const size_t n = b_.rules_.size();
  std::vector<std::vector<RuleId>> users(n);  // who has to be looked at again
  for (RuleId rule = 0; rule < n; ++rule) {
    std::vector<ExprId> work = {b_.rules_[rule].body};
    std::unordered_set<ExprId> seen(work.begin(), work.end());
    while (!work.empty()) {
      const Expr e = b_.exprs_[work.back()];
      work.pop_back();
      if (e.kind == Kind::kRule && (users[e.first].empty() || users[e.first].back() != rule))
        users[e.first].push_back(rule);
      if (e.kind == Kind::kRepeat && seen.insert(e.first).second) work.push_back(e.first);
      if (e.kind == Kind::kSequence || e.kind == Kind::kChoice)
        for (const ExprId child : b_.children(e))
          if (seen.insert(child).second) work.push_back(child);
    }
  }
  nullable_.assign(n, 0);
  std::vector<RuleId> work(n);
  for (RuleId rule = 0; rule < n; ++rule) work[rule] = rule;
  while (!work.empty()) {
    const RuleId rule = work.back();
    work.pop_back();
    if (nullable_[rule] || !is_nullable(b_.rules_[rule].body)) continue;
    nullable_[rule] = 1;
    work.insert(work.end(), users[rule].begin(), users[rule].end());
  }
}

void GrammarCompiler::unroll_left_recursion(RuleId rule) {
  const ExprId body = b_.rules_[rule].body;
  const Expr whole = b_.exprs_[body];
  std::vector<ExprId> alternatives = {body};
  if (whole.kind == Kind::kChoice) alternatives.assign(b_.children(whole).begin(), b_.children(whole).end());
  const auto is_self = [&](ExprId e) {
    return b_.exprs_[e].kind == Kind::kRule && b_.exprs_[e].first == rule;
  };
  std::vector<ExprId> others, tails;
  bool recursive = false;
  for (const ExprId alternative : alternatives) {
    const Expr e = b_.exprs_[alternative];
    if (is_self(alternative)) {
      recursive = true;
    } else if (e.kind == Kind::kSequence && is_self(b_.children(e)[0])) {
      recursive = true;
      const std::vector<ExprId> parts(b_.children(e).begin() + 1, b_.children(e).end());
      tails.push_back(b_.sequence(parts));
    } else {
      others.push_back(alternative);
    }
  }
  if (!recursive) return;
  b_.rules_[rule].body = b_.sequence({b_.choice(others), b_.repeat(b_.choice(tails), 0, kUnbounded)});
}

StateId GrammarCompiler::start_of(RuleId rule) {
  const auto [at, added] = starts_.try_emplace(rule, 0);
  if (added) {
    at->second = new_state();
    entries_.push_back({at->second, rule});
    pending_.push_back(rule);
  }
  return at->second;
}

void GrammarCompiler::translate(RuleId rule) {
  if (const auto source = non_empty_of_.find(rule); source != non_empty_of_.end())
    b_.rules_[rule].body = without_empty(b_.rules_[source->second].body);
  const StateId start = starts_.at(rule), end = new_state();
  d_.final[end] = 1;
  emit(b_.rules_[rule].body, start, end);
}

StateId GrammarCompiler::new_state() {
  if (d_.final.size() >= kMaxStates) {
    full_ = true;
    return 0;
  }
  d_.edges.emplace_back();
  d_.jumps.emplace_back();
  d_.calls.emplace_back();
  d_.final.push_back(0);
  return static_cast<StateId>(d_.final.size() - 1);
}

void GrammarCompiler::emit(ExprId id, StateId from, StateId to) {
  if (full_) return;
  const Expr e = b_.exprs_[id];  // a copy: without_empty adds expressions
  switch (e.kind) {
    case Kind::kEmpty:
      if (from != to) d_.jumps[from].push_back(to);
      return;
    case Kind::kNever:
      return;
    case Kind::kBytes:
      return emit_bytes(b_.text(e), from, to);
    case Kind::kChars:
      return emit_chars(b_.sets_[e.first], from, to);
    case Kind::kSequence: {
      const std::vector<ExprId> parts(b_.children(e).begin(), b_.children(e).end());
      StateId at = from;
      for (size_t i = 0; i < parts.size(); ++i) {
        const StateId next = i + 1 == parts.size() ? to : new_state();
        emit(parts[i], at, next);
        at = next;
      }
      return;
    }
    case Kind::kChoice: {
      std::vector<Path> paths;
      for (const ExprId alternative : b_.children(e)) paths.push_back({alternative, to});
      return emit_all(from, paths);
    }
    case Kind::kRepeat:
      return emit_repeat(e, from, to);
    case Kind::kRule: {
      const StateId callee = start_of(e.first);
      d_.calls[from].push_back({.is_loop = false, .callee = callee, .resume = to});
      return;
    }
    case Kind::kAutomaton:
      return emit_automaton(b_.automata_[e.first], from, to);
  }
}

void GrammarCompiler::emit_bytes(std::string_view text, StateId from, StateId to) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const StateId next = i + 1 == text.size() ? to : new_state();
    d_.edges[from].push_back({byte, byte, next});
    from = next;
  }
}

StateId GrammarCompiler::emit_prefix(std::map<std::pair<StateId, uint8_t>, StateId>& tree, StateId from,
                                     std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const auto [at, added] = tree.try_emplace({from, byte}, 0);
    if (added) {
      at->second = new_state();
      d_.edges[from].push_back({byte, byte, at->second});
    }
    from = at->second;
  }
  return from;
}

void GrammarCompiler::emit_all(StateId from, std::span<const Path> paths) {
  std::map<std::pair<StateId, uint8_t>, StateId> tree;
  for (const Path& path : paths) {
    if (full_) return;
    const Expr e = b_.exprs_[path.label];
    const Expr first = e.kind == Kind::kSequence ? b_.exprs_[b_.children(e)[0]] : e;
    if (first.kind != Kind::kBytes) {
      emit(path.label, from, path.to);
      continue;
    }
    const std::string text(b_.text(first));
    const StateId before = emit_prefix(tree, from, std::string_view(text).substr(0, text.size() - 1));
    if (e.kind != Kind::kSequence) {
      emit_bytes(std::string_view(text).substr(text.size() - 1), before, path.to);
      continue;
    }
    const std::vector<ExprId> rest(b_.children(e).begin() + 1, b_.children(e).end());
    StateId at = new_state();
    emit_bytes(std::string_view(text).substr(text.size() - 1), before, at);
    for (size_t i = 0; i < rest.size(); ++i) {
      const StateId next = i + 1 == rest.size() ? path.to : new_state();
      emit(rest[i], at, next);
      at = next;
    }
  }
}

StateId GrammarCompiler::passage(ByteRange bytes, StateId next) {
  const auto key = std::pair(static_cast<uint32_t>(bytes.first) << 8 | bytes.last, next);
  const auto [at, added] = passages_.try_emplace(key, 0);
  if (added) {
    at->second = new_state();
    d_.edges[at->second].push_back({bytes.first, bytes.last, next});
  }
  return at->second;
}

void GrammarCompiler::emit_chars(const CodePointSet& set, StateId from, StateId to) {
  for (const CodePointSet::Range& range : set.ranges()) {
    for_each_utf8_sequence(range, [&](std::span<const ByteRange> bytes) {
      StateId next = to;
      for (size_t i = bytes.size(); i-- > 1;) next = passage(bytes[i], next);
      auto& edges = d_.edges[from];
      if (!edges.empty() && edges.back().target == next && edges.back().last + 1 == bytes[0].first) {
        edges.back().last = bytes[0].last;
      } else {
        edges.push_back({bytes[0].first, bytes[0].last, next});
      }
    });
  }
}

void GrammarCompiler::emit_repeat(const Expr& e, StateId from, StateId to) {
  ExprId body = e.first;
  uint32_t min = e.min;
  if (is_nullable(body)) {
    body = without_empty(body);
    min = 0;
  }
  const uint64_t size = b_.exprs_[body].size;
  if (e.max != kUnbounded && size * e.max > kInlineStates && e.max > 1)
    return emit_loop(body, min, e.max, from, to);
  if (e.max == kUnbounded && size * min > kInlineStates && min > 1)
    return emit_loop(body, min, e.max, from, to);
  StateId at = from;
  for (uint32_t i = 0; i < min; ++i) {
    const StateId next = i + 1 == e.max ? to : new_state();
    emit(body, at, next);
    at = next;
  }
  if (e.max == kUnbounded) {
    const StateId hub = new_state();
    d_.jumps[at].push_back(hub);
    emit(body, hub, hub);
    d_.jumps[hub].push_back(to);
    return;
  }
  for (uint32_t i = min; i < e.max; ++i) {
    d_.jumps[at].push_back(to);
    const StateId next = i + 1 == e.max ? to : new_state();
    emit(body, at, next);
    at = next;
  }
}

void GrammarCompiler::emit_loop(ExprId body, uint32_t min, uint32_t max, StateId from, StateId to) {
  const auto [loop, is_new] = loops_.try_emplace({body, {min, max}}, static_cast<uint32_t>(d_.loops.size()));
  if (is_new) {
    d_.loops.push_back({.body = 0, .min = min, .max = max});
    const auto [start, added] = loop_bodies_.try_emplace(body, 0);
    if (added) {
      start->second = new_state();
      const StateId end = new_state();
      d_.final[end] = 1;
      const StateId begin = start->second;  // emit may add loops and move the map's nodes' order, not this
      emit(body, begin, end);
    }
    d_.loops[loop->second].body = loop_bodies_.at(body);
  }
  d_.calls[from].push_back({.is_loop = true, .callee = loop->second, .resume = to});
}

void GrammarCompiler::emit_automaton(const ExprAutomaton& automaton, StateId from, StateId to) {
  std::vector<StateId> states;
  for (size_t i = 0; i < automaton.states.size(); ++i) states.push_back(new_state());
  if (full_) return;
  d_.jumps[from].push_back(states[0]);
  for (size_t i = 0; i < automaton.states.size(); ++i) {
    std::vector<Path> paths;
    for (const ExprAutomaton::Edge& edge : automaton.states[i].edges)
      paths.push_back({edge.label, states[edge.target]});
    emit_all(states[i], paths);
    if (automaton.states[i].accepting) d_.jumps[states[i]].push_back(to);
  }
}

}  // namespace atelier::constraint
