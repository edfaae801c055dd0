// The two things a pushdown automaton cannot run with: bodies that match the empty text, and left recursion.
#include <algorithm>

#include "engine/constraint/grammar_compiler.h"

namespace atelier::constraint {

ExprId GrammarCompiler::without_empty(ExprId id) {
  if (!is_nullable(id)) return id;
  if (const auto known = non_empty_.find(id); known != non_empty_.end()) return known->second;
  const Expr e = b_.exprs_[id];
  ExprId out = b_.never();
  switch (e.kind) {
    case Kind::kEmpty:
    case Kind::kNever:
    case Kind::kBytes:
    case Kind::kChars:
      break;
    case Kind::kSequence:
      out = without_empty_sequence(e);
      break;
    case Kind::kChoice: {
      std::vector<ExprId> alternatives(b_.children(e).begin(), b_.children(e).end());
      for (ExprId& alternative : alternatives) alternative = without_empty(alternative);
      out = b_.choice(alternatives);
      break;
    }
    case Kind::kRepeat:
      out = b_.repeat(without_empty(e.first), 1, e.max);
      break;
    case Kind::kRule: {
      const auto [at, added] = non_empty_rule_.try_emplace(e.first, 0);
      if (added) {
        at->second = b_.declare(b_.rules_[e.first].name);
        nullable_.push_back(0);
        non_empty_of_[at->second] = e.first;
      }
      out = b_.rule(at->second);
      break;
    }
    case Kind::kAutomaton:
      out = without_empty_automaton(e);
      break;
  }
  non_empty_[id] = out;
  return out;
}

// Of parts that may all be empty: the first that is not, and anything after it.
ExprId GrammarCompiler::without_empty_sequence(const Expr& e) {
  const std::vector<ExprId> parts(b_.children(e).begin(), b_.children(e).end());
  std::vector<ExprId> alternatives;
  for (size_t i = 0; i < parts.size() && !b_.full(); ++i) {
    std::vector<ExprId> rest(parts.begin() + static_cast<std::ptrdiff_t>(i), parts.end());
    rest[0] = without_empty(rest[0]);
    alternatives.push_back(b_.sequence(rest));
  }
  return b_.choice(alternatives);
}

ExprId GrammarCompiler::without_empty_automaton(const Expr& e) {
  const ExprAutomaton& source = b_.automata_[e.first];
  ExprAutomaton out;
  out.states.push_back({.edges = source.states[0].edges, .accepting = false});
  out.states.insert(out.states.end(), source.states.begin(), source.states.end());
  for (ExprAutomaton::State& state : out.states)
    for (ExprAutomaton::Edge& edge : state.edges) ++edge.target;
  return b_.automaton(out);
}

std::string GrammarCompiler::name_of(StateId entry) const {
  for (const auto& [start, rule] : entries_)
    if (start == entry) return b_.rules_[rule].name;
  return {};  // the body of a loop
}

// Depth first over "may be entered before any byte is consumed".
Status GrammarCompiler::check_left_recursion() const {
  const std::vector<uint8_t> nullable = Grammar::reaches_end(d_, {});
  const auto entered_first = [&](StateId entry) {
    std::vector<StateId> found, work = {entry};
    std::unordered_map<StateId, bool> seen = {{entry, true}};
    const auto visit = [&](StateId s) {
      if (seen.try_emplace(s, true).second) work.push_back(s);
    };
    while (!work.empty()) {
      const StateId s = work.back();
      work.pop_back();
      for (const StateId target : d_.jumps[s]) visit(target);
      for (const Grammar::Call& call : d_.calls[s]) {
        const StateId callee = call.is_loop ? d_.loops[call.callee].body : call.callee;
        found.push_back(callee);
        if (nullable[callee] || (call.is_loop && d_.loops[call.callee].min == 0)) visit(call.resume);
      }
    }
    return found;
  };
  enum class Mark : uint8_t { kOpen, kDone };
  std::unordered_map<StateId, Mark> marks;
  struct Frame {
    StateId entry;
    std::vector<StateId> callees;
    size_t next = 0;
  };
  for (const auto& [root, rule] : entries_) {
    if (marks.contains(root)) continue;
    std::vector<Frame> path;
    path.push_back({root, entered_first(root)});
    marks[root] = Mark::kOpen;
    while (!path.empty()) {
      Frame& top = path.back();
      if (top.next == top.callees.size()) {
        marks[top.entry] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const StateId callee = top.callees[top.next++];
      const auto mark = marks.find(callee);
      if (mark == marks.end()) {
        marks[callee] = Mark::kOpen;
        path.push_back({callee, entered_first(callee)});
      } else if (mark->second == Mark::kOpen) {
        auto from = std::ranges::find(path, callee, &Frame::entry);
        std::string names;
        for (; from != path.end(); ++from)
          if (const std::string name = name_of(from->entry); !name.empty()) names += name + " -> ";
        const std::string again = name_of(callee);
        if (!again.empty()) names += again;
        return fail(ErrorCode::kUnsupported,
                    "grammar: expected rules that begin with something else than themselves, found {}",
                    names);
      }
    }
  }
  return {};
}

}  // namespace atelier::constraint
