#include "engine/constraint/verdict_cache.h"

#include "engine/constraint/intern_table.h"

namespace atelier::constraint {
namespace {

// Rules that large are those of one schema; nobody else has them.
constexpr size_t kMaxStates = 2'000;

// Numbers states in the order in which they are met.
class Numbering {
 public:
  uint32_t number_of(StateId state) {
    const uint32_t known = numbers_.find(state, 0);
    if (known != IdMap::kNone) return known;
    const auto next = static_cast<uint32_t>(order_.size());
    numbers_.set(state, 0, next);
    order_.push_back(state);
    return next;
  }
  const std::vector<StateId>& order() const { return order_; }

 private:
  IdMap numbers_;
  std::vector<StateId> order_;
};

}  // namespace

Signature signature(const Grammar& grammar, StateId state, std::optional<StateId> body) {
  Signature out;
  Numbering met;
  out.push_back(met.number_of(state));
  out.push_back(body ? met.number_of(*body) : UINT32_MAX);
  for (size_t i = 0; i < met.order().size(); ++i) {
    if (i >= kMaxStates) return {};
    const StateId at = met.order()[i];
    const auto edges = grammar.edges(at);
    const auto jumps = grammar.jumps(at);
    const auto calls = grammar.calls(at);
    out.push_back(grammar.is_final(at) ? 1 : 0);
    for (const size_t n : {edges.size(), jumps.size(), calls.size()}) out.push_back(static_cast<uint32_t>(n));
    for (const Grammar::Edge& edge : edges) {
      out.push_back(static_cast<uint32_t>(edge.first) << 8 | edge.last);
      out.push_back(met.number_of(edge.target));
    }
    for (const StateId target : jumps) out.push_back(met.number_of(target));
    for (const Grammar::Call& call : calls) {
      out.push_back(call.is_loop ? 1 : 0);
      if (call.is_loop) {
        const Grammar::Loop& loop = grammar.loops()[call.callee];
        out.insert(out.end(), {loop.min, loop.max, met.number_of(loop.body)});
      } else {
        out.push_back(met.number_of(call.callee));
      }
      out.push_back(met.number_of(call.resume));
    }
  }
  return out;
}

size_t Verdict::bytes() const {
  size_t n = tokens.size() * sizeof tokens[0] + up_to.size() * sizeof up_to[0] +
             exits.size() * sizeof exits[0] + exit_begin.size() * sizeof exit_begin[0] + 128;
  for (const auto& words : dense) n += words.size() * sizeof words[0];
  return n;
}

size_t VerdictCache::Hash::operator()(const Signature& key) const {
  uint64_t hash = key.size();
  for (const uint32_t word : key) hash = mix_hash(hash ^ word);
  return static_cast<size_t>(hash);
}

std::shared_ptr<const Verdict> VerdictCache::find(const Signature& key) const {
  const std::lock_guard lock(mutex_);
  const auto at = verdicts_.find(key);
  return at == verdicts_.end() ? nullptr : at->second;
}

void VerdictCache::add(Signature key, std::shared_ptr<const Verdict> verdict) {
  const std::lock_guard lock(mutex_);
  const size_t n = verdict->bytes() + key.size() * sizeof key[0];
  if (bytes_ + n > kMaxBytes) {
    verdicts_.clear();
    bytes_ = 0;
  }
  if (verdicts_.emplace(std::move(key), std::move(verdict)).second) bytes_ += n;
}

size_t VerdictCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace atelier::constraint
