// Thompson's construction and the construction of subsets, with anchors as steps that are open only at the
// beginning or the end of the text.
#include <algorithm>
#include <map>

#include "engine/constraint/regex_language.h"

namespace atelier::constraint {
namespace {

using Kind = Regex::Kind;

constexpr size_t kMaxNfaStates = 50'000;
constexpr size_t kMaxDfaStates = 10'000;
constexpr uint64_t kMaxWork = 50'000'000;  // states looked at, in all

struct Nfa {
  struct State {
    std::vector<uint32_t> free;                        // steps that cost nothing
    std::vector<uint32_t> at_begin, at_end;            // steps open only there
    std::vector<std::pair<uint32_t, uint32_t>> chars;  // (set, target)
  };
  std::vector<State> states;
  std::vector<CodePointSet> sets;
  bool full = false;

  uint32_t add() {
    if (states.size() >= kMaxNfaStates) full = true;
    if (!full) states.emplace_back();
    return static_cast<uint32_t>(states.size() - 1);
  }
};

void build(const Regex& regex, uint32_t id, uint32_t from, uint32_t to, Nfa& nfa) {
  if (nfa.full) return;
  const Regex::Node& node = regex.nodes[id];
  switch (node.kind) {
    case Kind::kEmpty:
      nfa.states[from].free.push_back(to);
      return;
    case Kind::kBegin:
      nfa.states[from].at_begin.push_back(to);
      return;
    case Kind::kEnd:
      nfa.states[from].at_end.push_back(to);
      return;
    case Kind::kChars:
      nfa.states[from].chars.emplace_back(node.set, to);
      return;
    case Kind::kSequence:
      for (const uint32_t child : node.children) {
        const uint32_t next = nfa.add();
        build(regex, child, from, next, nfa);
        from = next;
      }
      nfa.states[from].free.push_back(to);
      return;
    case Kind::kChoice:
      for (const uint32_t child : node.children) build(regex, child, from, to, nfa);
      return;
    case Kind::kRepeat:
      break;
  }
  for (uint32_t i = 0; i < node.min && !nfa.full; ++i) {
    const uint32_t next = nfa.add();
    build(regex, node.children[0], from, next, nfa);
    from = next;
  }
  if (node.max == kUnbounded) {
    const uint32_t hub = nfa.add();
    nfa.states[from].free.push_back(hub);
    const uint32_t back = nfa.add();
    build(regex, node.children[0], hub, back, nfa);
    nfa.states[back].free.push_back(hub);
    from = hub;
  } else {
    for (uint32_t i = node.min; i < node.max && !nfa.full; ++i) {
      nfa.states[from].free.push_back(to);
      const uint32_t next = nfa.add();
      build(regex, node.children[0], from, next, nfa);
      from = next;
    }
  }
  nfa.states[from].free.push_back(to);
}

// Characters that no set tells apart, as one class each.
struct Classes {
  std::vector<CodePointSet> characters;
  std::vector<std::vector<uint32_t>> of_set;  // the classes of each set
};

Classes classify(std::span<const CodePointSet> sets) {
  std::map<char32_t, std::vector<uint32_t>> borders;  // where sets begin or end
  borders[0];
  for (uint32_t i = 0; i < sets.size(); ++i) {
    for (const CodePointSet::Range& range : sets[i].ranges()) {
      borders[range.first].push_back(i);
      borders[range.last + 1].push_back(i);
    }
  }
  Classes out;
  out.of_set.resize(sets.size());
  std::map<std::vector<bool>, uint32_t> known;
  std::vector<bool> inside(sets.size());
  for (auto at = borders.begin(); at != borders.end() && at->first <= kLastCodePoint; ++at) {
    for (const uint32_t set : at->second) inside[set] = !inside[set];
    const char32_t last = std::next(at) == borders.end() ? kLastCodePoint : std::next(at)->first - 1;
    const auto [found, added] = known.try_emplace(inside, static_cast<uint32_t>(out.characters.size()));
    if (added) {
      out.characters.emplace_back();
      for (uint32_t set = 0; set < sets.size(); ++set)
        if (inside[set]) out.of_set[set].push_back(found->second);
    }
    out.characters[found->second].add(at->first, last);
  }
  return out;
}

class SubsetConstruction {
 public:
  SubsetConstruction(const Nfa& nfa, uint32_t end) : nfa_(nfa), end_(end), classes_(classify(nfa.sets)) {}

  Result<CharDfa> run(uint32_t start) {
    subsets_.push_back(closure({start}, /*begin=*/true, /*end=*/false));
    for (size_t i = 0; i < subsets_.size(); ++i) {
      if (subsets_.size() > kMaxDfaStates || work_ > kMaxWork)
        return fail(
            ErrorCode::kLimit,
            "regular expression: expected one that takes at most {} states, found one that takes more",
            kMaxDfaStates);
      add_state(subsets_[i], i == 0);
    }
    return out_.trimmed();
  }

 private:
  using Subset = std::vector<uint32_t>;  // ascending

  Subset closure(Subset states, bool begin, bool end) {
    std::vector<uint8_t> seen(nfa_.states.size());
    for (const uint32_t s : states) seen[s] = 1;
    const auto visit = [&](const std::vector<uint32_t>& targets) {
      for (const uint32_t target : targets)
        if (!std::exchange(seen[target], 1)) states.push_back(target);
    };
    for (size_t i = 0; i < states.size(); ++i) {
      const Nfa::State& state = nfa_.states[states[i]];
      visit(state.free);
      if (begin) visit(state.at_begin);
      if (end) visit(state.at_end);
    }
    work_ += states.size() + nfa_.states.size() / 64;
    std::ranges::sort(states);
    return states;
  }

  void add_state(Subset subset, bool is_start) {
    std::map<uint32_t, Subset> by_class;
    for (const uint32_t s : subset) {
      for (const auto& [set, target] : nfa_.states[s].chars) {
        for (const uint32_t c : classes_.of_set[set]) by_class[c].push_back(target);
        work_ += classes_.of_set[set].size();
      }
    }
    std::map<uint32_t, CodePointSet> by_target;
    for (auto& [c, targets] : by_class) {
      std::ranges::sort(targets);
      targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
      by_target[name(closure(std::move(targets), false, false))].add(classes_.characters[c]);
    }
    CharDfa::State state;
    for (auto& [target, set] : by_target) state.edges.push_back({std::move(set), target});
    state.accepting = std::ranges::binary_search(closure(std::move(subset), is_start, true), end_);
    out_.states.push_back(std::move(state));
  }

  uint32_t name(Subset subset) {
    const auto [at, added] = names_.try_emplace(std::move(subset), static_cast<uint32_t>(subsets_.size()));
    if (added) subsets_.push_back(at->first);
    return at->second;
  }

  const Nfa& nfa_;
  uint32_t end_;
  Classes classes_;
  std::vector<Subset> subsets_;  // the first one, at the beginning of the text, is a state of its own
  std::map<Subset, uint32_t> names_;
  CharDfa out_;
  uint64_t work_ = 0;
};

}  // namespace

Result<CharDfa> regex_dfa(const Regex& regex, RegexMatch match) {
  Nfa nfa;
  nfa.sets = regex.sets;
  const uint32_t start = nfa.add(), end = nfa.add();
  build(regex, regex.root, start, end, nfa);
  if (nfa.full)
    return fail(ErrorCode::kLimit,
                "regular expression: expected at most {} characters and repetitions, found more",
                kMaxNfaStates);
  if (match == RegexMatch::kSearch) {
    const auto all = static_cast<uint32_t>(nfa.sets.size());
    nfa.sets.push_back(CodePointSet::all());
    const uint32_t before = nfa.add();
    nfa.states[before].free.push_back(start);
    nfa.states[before].chars.emplace_back(all, before);
    nfa.states[end].chars.emplace_back(all, end);
    return SubsetConstruction(nfa, end).run(before);
  }
  return SubsetConstruction(nfa, end).run(start);
}

}  // namespace atelier::constraint
