#include "engine/constraint/grammar.h"

#include <algorithm>
#include <numeric>

namespace atelier::constraint {

Grammar::Draft Grammar::draft() const {
  Draft out{.edges = {}, .jumps = {}, .calls = {}, .final = final_, .loops = loops_, .start = start_};
  for (StateId s = 0; s < n_states(); ++s) {
    out.edges.emplace_back(edges(s).begin(), edges(s).end());
    out.jumps.emplace_back(jumps(s).begin(), jumps(s).end());
    out.calls.emplace_back(calls(s).begin(), calls(s).end());
  }
  return out;
}

Result<std::shared_ptr<const Grammar>> Grammar::restricted_to(const std::bitset<256>& bytes) const {
  Draft reduced = draft();
  for (auto& edges : reduced.edges) {
    std::vector<Edge> kept;
    for (const Edge& edge : edges) {
      for (unsigned byte = edge.first; byte <= edge.last; ++byte) {
        if (!bytes[byte]) continue;
        const auto b = static_cast<uint8_t>(byte);
        if (!kept.empty() && kept.back().target == edge.target && kept.back().last + 1u == byte) {
          kept.back().last = b;
        } else {
          kept.push_back({b, b, edge.target});
        }
      }
    }
    edges = std::move(kept);
  }
  std::shared_ptr<const Grammar> out = finish(std::move(reduced));
  if (out == nullptr)
    return fail(ErrorCode::kUnsupported,
                "grammar: expected texts of bytes that the vocabulary has tokens for, found none");
  return out;
}

std::vector<uint8_t> Grammar::reaches_end(const Draft& draft, const std::bitset<256>& through) {
  const size_t n = draft.final.size();
  const auto entry = [&](const Call& call) {
    return call.is_loop ? draft.loops[call.callee].body : static_cast<StateId>(call.callee);
  };
  const auto passable = [&](const Edge& edge) {
    for (unsigned byte = edge.first; byte <= edge.last; ++byte)
      if (through[byte]) return true;
    return false;
  };
  std::vector<uint8_t> yes = draft.final;
  // Of state t the users, whose verdict may change when t's does: users[begin[t]] to users[begin[t + 1]].
  const auto for_each_use = [&](auto&& use) {
    for (StateId s = 0; s < n; ++s) {
      for (const Edge& edge : draft.edges[s])
        if (passable(edge)) use(edge.target, s);
      for (const StateId target : draft.jumps[s]) use(target, s);
      for (const Call& call : draft.calls[s]) {
        use(call.resume, s);
        use(entry(call), s);
      }
    }
  };
  std::vector<uint32_t> begin(n + 2);
  for_each_use([&](StateId used, StateId) { ++begin[used + 2]; });
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<StateId> users(begin.back());
  for_each_use([&](StateId used, StateId user) { users[begin[used + 1]++] = user; });
  const auto holds = [&](StateId s) {
    for (const Edge& edge : draft.edges[s])
      if (yes[edge.target] && passable(edge)) return true;
    for (const StateId target : draft.jumps[s])
      if (yes[target]) return true;
    for (const Call& call : draft.calls[s]) {
      const bool can_return = yes[entry(call)] || (call.is_loop && draft.loops[call.callee].min == 0);
      if (can_return && yes[call.resume]) return true;
    }
    return false;
  };
  std::vector<StateId> work;
  for (StateId s = 0; s < n; ++s)
    if (yes[s]) work.push_back(s);
  while (!work.empty()) {
    const StateId done = work.back();
    work.pop_back();
    for (uint32_t i = begin[done]; i < begin[done + 1]; ++i) {
      const StateId s = users[i];
      if (yes[s] || !holds(s)) continue;
      yes[s] = 1;
      work.push_back(s);
    }
  }
  return yes;
}

void Grammar::prune(Draft& draft) {
  const std::vector<uint8_t> useful = reaches_end(draft, std::bitset<256>().set());
  for (StateId s = 0; s < draft.final.size(); ++s) {
    std::erase_if(draft.edges[s], [&](const Edge& edge) { return !useful[edge.target]; });
    std::erase_if(draft.jumps[s], [&](StateId target) { return !useful[target]; });
    std::erase_if(draft.calls[s], [&](const Call& call) {
      if (!useful[call.resume]) return true;
      if (!call.is_loop) return !useful[call.callee];
      const Loop& loop = draft.loops[call.callee];
      return !useful[loop.body] && loop.min > 0;
    });
  }
  for (Loop& loop : draft.loops)
    if (!useful[loop.body]) loop.max = 0;
}

// A state with a single jump and nothing else is as good as the state it jumps to.
void Grammar::shorten_jumps(Draft& draft) {
  std::vector<StateId> shortcut(draft.final.size());
  for (StateId s = 0; s < draft.final.size(); ++s) shortcut[s] = s;
  const auto is_passage = [&](StateId s) {
    return draft.edges[s].empty() && draft.calls[s].empty() && !draft.final[s] && draft.jumps[s].size() == 1;
  };
  const auto resolve = [&](StateId s) {
    StateId end = s;
    // Jumps may run in a circle of passages only where nothing useful lies, and that was pruned.
    for (size_t steps = 0; is_passage(end) && steps < draft.final.size(); ++steps) {
      if (shortcut[end] != end) {
        end = shortcut[end];
      } else {
        end = draft.jumps[end][0];
      }
    }
    for (StateId at = s; is_passage(at) && at != end && shortcut[at] == at;) {
      shortcut[at] = end;
      at = draft.jumps[at][0];
    }
    return end;
  };
  for (StateId s = 0; s < draft.final.size(); ++s) {
    for (Edge& edge : draft.edges[s]) edge.target = resolve(edge.target);
    for (StateId& target : draft.jumps[s]) target = resolve(target);
    for (Call& call : draft.calls[s]) {
      call.resume = resolve(call.resume);
      if (!call.is_loop) call.callee = resolve(call.callee);
    }
  }
  for (Loop& loop : draft.loops) loop.body = resolve(loop.body);
  draft.start = resolve(draft.start);
}

void Grammar::freeze(const Draft& draft) {
  const size_t n = draft.final.size();
  final_ = draft.final;
  loops_ = draft.loops;
  start_ = draft.start;
  const auto flatten = [n](const auto& lists, auto& all, std::vector<uint32_t>& begin) {
    begin.reserve(n + 1);
    for (const auto& list : lists) {
      begin.push_back(static_cast<uint32_t>(all.size()));
      all.insert(all.end(), list.begin(), list.end());
    }
    begin.push_back(static_cast<uint32_t>(all.size()));
  };
  flatten(draft.edges, edges_, edge_begin_);
  flatten(draft.jumps, jumps_, jump_begin_);
  flatten(draft.calls, calls_, call_begin_);
  classify_bytes();
}

void Grammar::classify_bytes() {
  std::bitset<257> begins;
  begins.set(0);
  for (const Edge& edge : edges_) {
    begins.set(edge.first);
    begins.set(edge.last + 1u);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) class_first_.push_back(static_cast<uint8_t>(byte));
    class_of_[byte] = static_cast<uint8_t>(class_first_.size() - 1);
  }
}

std::shared_ptr<const Grammar> Grammar::finish(Draft draft) {
  prune(draft);
  const std::vector<uint8_t> useful = reaches_end(draft, std::bitset<256>().set());
  if (!useful[draft.start]) return nullptr;
  shorten_jumps(draft);
  auto out = std::make_shared<Grammar>();
  out->freeze(draft);
  return out;
}

}  // namespace atelier::constraint
