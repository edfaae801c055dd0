#include "engine/constraint/char_dfa.h"

#include <algorithm>
#include <map>

namespace atelier::constraint {
namespace {

constexpr size_t kMaxStates = 10'000;
constexpr size_t kMaxEdges = 100'000;

}  // namespace

CharDfa CharDfa::any() { return {{{.edges = {{CodePointSet::all(), 0}}, .accepting = true}}}; }

CharDfa CharDfa::length(uint32_t min, uint32_t max) {
  CharDfa out;
  const uint32_t last = max == kUnbounded ? min : max;
  for (uint32_t n = 0; n <= last; ++n) {
    out.states.push_back({.edges = {}, .accepting = n >= min});
    if (n < last) out.states[n].edges.push_back({CodePointSet::all(), n + 1});
  }
  if (max == kUnbounded) out.states[last].edges.push_back({CodePointSet::all(), last});
  return out;
}

CharDfa CharDfa::one_of(std::span<const std::u32string> texts) {
  CharDfa out;
  out.states.emplace_back();
  for (const std::u32string& text : texts) {
    uint32_t at = 0;
    for (const char32_t c : text) {
      auto& edges = out.states[at].edges;
      const auto found = std::ranges::find_if(edges, [c](const Edge& edge) { return edge.set.contains(c); });
      if (found != edges.end()) {
        at = found->target;
        continue;
      }
      const auto next = static_cast<uint32_t>(out.states.size());
      edges.push_back({CodePointSet{{c, c}}, next});
      out.states.emplace_back();
      at = next;
    }
    out.states[at].accepting = true;
  }
  return out;
}

bool CharDfa::is_empty() const { return trimmed().states.empty(); }

bool CharDfa::matches(std::u32string_view text) const {
  if (states.empty()) return false;
  uint32_t at = 0;
  for (const char32_t c : text) {
    const auto& edges = states[at].edges;
    const auto found = std::ranges::find_if(edges, [c](const Edge& edge) { return edge.set.contains(c); });
    if (found == edges.end()) return false;
    at = found->target;
  }
  return states[at].accepting;
}

CharDfa CharDfa::trimmed() const {
  std::vector<std::vector<uint32_t>> users(states.size());
  std::vector<uint32_t> work;
  std::vector<uint8_t> useful(states.size());
  for (uint32_t s = 0; s < states.size(); ++s) {
    for (const Edge& edge : states[s].edges) users[edge.target].push_back(s);
    if (!states[s].accepting) continue;
    useful[s] = 1;
    work.push_back(s);
  }
  while (!work.empty()) {
    const uint32_t done = work.back();
    work.pop_back();
    for (const uint32_t s : users[done]) {
      if (std::exchange(useful[s], 1)) continue;
      work.push_back(s);
    }
  }
  CharDfa out;
  if (states.empty() || !useful[0]) return out;
  std::vector<uint32_t> renamed(states.size());
  uint32_t n = 0;
  for (uint32_t s = 0; s < states.size(); ++s)
    if (useful[s]) renamed[s] = n++;
  for (uint32_t s = 0; s < states.size(); ++s) {
    if (!useful[s]) continue;
    State state{.edges = {}, .accepting = states[s].accepting};
    for (const Edge& edge : states[s].edges)
      if (useful[edge.target]) state.edges.push_back({edge.set, renamed[edge.target]});
    out.states.push_back(std::move(state));
  }
  return out;
}

Result<CharDfa> intersection(const CharDfa& a, const CharDfa& b) {
  CharDfa out;
  if (a.states.empty() || b.states.empty()) return out;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> names;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  const auto name = [&](uint32_t s, uint32_t t) {
    const auto [at, added] = names.try_emplace({s, t}, static_cast<uint32_t>(pairs.size()));
    if (added) pairs.push_back({s, t});
    return at->second;
  };
  name(0, 0);
  size_t n_edges = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [s, t] = pairs[i];
    CharDfa::State state{.edges = {}, .accepting = a.states[s].accepting && b.states[t].accepting};
    for (const CharDfa::Edge& x : a.states[s].edges) {
      for (const CharDfa::Edge& y : b.states[t].edges) {
        CodePointSet both = x.set.intersect(y.set);
        if (both.empty()) continue;
        state.edges.push_back({std::move(both), name(x.target, y.target)});
      }
    }
    n_edges += state.edges.size();
    out.states.push_back(std::move(state));
    if (pairs.size() > kMaxStates || n_edges > kMaxEdges)
      return fail(ErrorCode::kLimit,
                  "strings: expected conditions that take at most {} states together, found more",
                  kMaxStates);
  }
  return out.trimmed();
}

CharDfa complement(const CharDfa& a) {
  CharDfa out = a;
  if (out.states.empty()) out.states.emplace_back();
  const auto sink = static_cast<uint32_t>(out.states.size());
  out.states.emplace_back();
  for (CharDfa::State& state : out.states) {
    CodePointSet known;
    for (const CharDfa::Edge& edge : state.edges) known.add(edge.set);
    CodePointSet rest = known.complement();
    if (!rest.empty()) state.edges.push_back({std::move(rest), sink});
    state.accepting = !state.accepting;
  }
  return out.trimmed();
}

ExprId dfa_expr(const CharDfa& dfa, GrammarBuilder& builder, const CharWriter& write) {
  ExprAutomaton out;
  for (const CharDfa::State& state : dfa.states) {
    ExprAutomaton::State copy{.edges = {}, .accepting = state.accepting};
    for (const CharDfa::Edge& edge : state.edges) copy.edges.push_back({write(edge.set), edge.target});
    out.states.push_back(std::move(copy));
  }
  return builder.automaton(out);
}

}  // namespace atelier::constraint
