#include "engine/constraint/distances.h"

#include <algorithm>

namespace atelier::constraint {
namespace {

constexpr uint32_t kFar = 1u << 30;  // so far that it is no way at all
constexpr uint32_t kNotKnown = UINT32_MAX;

uint32_t sum(uint64_t a, uint64_t b) { return static_cast<uint32_t>(std::min<uint64_t>(a + b, kFar)); }
uint32_t times(uint64_t a, uint64_t b) { return static_cast<uint32_t>(std::min<uint64_t>(a * b, kFar)); }

uint32_t of_call(const Grammar& grammar, const Grammar::Call& call, const std::vector<uint32_t>& states) {
  if (!call.is_loop) return states[call.callee];
  const Grammar::Loop& loop = grammar.loops()[call.callee];
  return times(loop.min, states[loop.body]);
}

}  // namespace

// Ways get shorter until none does. States mostly lead to states after them, so that one round from the last
// to the first finds nearly all.
Distances::Distances(ConfigStore& store) : store_(store) {
  const Grammar& grammar = store.grammar();
  states_.assign(grammar.n_states(), kFar);
  for (bool changed = true; changed;) {
    changed = false;
    for (auto s = static_cast<StateId>(grammar.n_states()); s-- > 0;) {
      uint32_t best = grammar.is_final(s) ? 0 : kFar;
      for (const Grammar::Edge& edge : grammar.edges(s)) best = std::min(best, sum(1, states_[edge.target]));
      for (const StateId target : grammar.jumps(s)) best = std::min(best, states_[target]);
      for (const Grammar::Call& call : grammar.calls(s))
        best = std::min(best, sum(of_call(grammar, call, states_), states_[call.resume]));
      changed = changed || best < states_[s];
      states_[s] = std::min(best, states_[s]);
    }
  }
}

uint32_t Distances::of_stack(StackId stack) {
  if (stack < stacks_.size() && stacks_[stack] != kNotKnown) return stacks_[stack];
  uint32_t best = store_.includes_bottom(stack) ? 0 : kFar;
  const Grammar& grammar = store_.grammar();
  for (const auto& [frame, below] : store_.entries(stack)) {
    uint32_t here = 0;
    if (!frame.is_loop()) {
      here = states_[frame.state()];
    } else if (!store_.is_free(frame.loop())) {
      const Grammar::Loop& loop = grammar.loops()[frame.loop()];
      here = frame.rounds() >= loop.min ? 0 : times(loop.min - frame.rounds(), states_[loop.body]);
    }
    best = std::min(best, sum(here, of_stack(below)));
  }
  if (stack >= stacks_.size()) stacks_.resize(stack + 1, kNotKnown);
  return stacks_[stack] = best;
}

uint32_t Distances::of(ConfigId config) {
  uint32_t best = store_.accepts(config) ? 0 : kFar;
  for (const ConfigStore::Element& element : store_.elements(config))
    best = std::min(best, sum(states_[element.state], of_stack(element.stack)));
  return best;
}

std::string Distances::shortest_way(ConfigId config) {
  std::string text;
  const Grammar& grammar = store_.grammar();
  for (uint32_t left = of(config); left > 0 && left < kFar; left = of(config)) {
    ConfigId nearest = ConfigStore::kDead;
    for (size_t c = 0; c < grammar.n_classes() && nearest == ConfigStore::kDead; ++c) {
      if (!store_.has_step(config, c)) continue;
      const ConfigId next = store_.step_class(config, c);
      if (next == ConfigStore::kDead || of(next) >= left) continue;
      nearest = next;
      text.push_back(static_cast<char>(grammar.class_first(c)));
    }
    if (nearest == ConfigStore::kDead) return {};
    config = nearest;
  }
  return text;
}

}  // namespace atelier::constraint
