#include "engine/constraint/mask_builder.h"

#include <algorithm>
#include <numeric>

namespace atelier::constraint {
namespace {

// Walks of fewer nodes are not worth an analysis of their own.
constexpr size_t kDirectNodes = 1500;
// Masks that took fewer nodes than this to put together are not kept.
constexpr size_t kKeepNodes = 200;
// Cumulative sets of bits are kept for so many rounds; few tokens are longer.
constexpr size_t kDenseRounds = 32;
// About a tenth of a second. Only a grammar of thousands of simultaneous alternatives comes near it.
constexpr size_t kMaxNodes = 30'000'000;
// Nodes that prepare() visits, some 35 ns each.
constexpr size_t kPrepareNodes = 3'000'000;
// States with fewer bytes to choose from lead to few nodes.
constexpr size_t kWideBytes = 16;
// In place of a loop's body: a verdict that is this grammar's own.
constexpr StateId kNotShared = UINT32_MAX;

void set_bit(std::span<uint64_t> mask, TokenId id) {
  mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
}

}  // namespace

MaskBuilder::MaskBuilder(std::shared_ptr<const TokenTrie> trie, ConfigStore& store)
    : trie_(std::move(trie)), store_(store), path_(trie_->longest() + 2) {}

bool MaskBuilder::build(ConfigId config, std::span<uint64_t> mask) {
  std::ranges::fill(mask, 0);
  if (const auto known = cache_.find(config); known != cache_.end()) {
    std::ranges::copy(known->second.words, mask.begin());
    for (const TokenId id : known->second.tokens) set_bit(mask, id);
    return true;
  }
  visited_ = 0;
  if (walk_directly(config)) {
    for (const TokenId id : found_) set_bit(mask, id);
  } else {
    visited_ = 0;
    const auto elements = store_.elements(config);
    const std::vector<ConfigStore::Element> copy(elements.begin(), elements.end());
    for (const ConfigStore::Element& element : copy)
      if (!gave_up()) add_element(element, mask);
  }
  if (gave_up()) return false;
  if (visited_ > kKeepNodes) keep(config, mask);
  return true;
}

void MaskBuilder::prepare() {
  std::vector<size_t> nodes_by_byte(256);
  const auto nodes = trie_->nodes();
  for (uint32_t i = 1; i < trie_->n_nodes(); i = nodes[i].end)
    nodes_by_byte[nodes[i].byte] = nodes[i].end - i;

  // Every rule there is, as the body of a loop or not.
  constexpr uint32_t kNoLoop = UINT32_MAX;
  std::vector<std::pair<StateId, uint32_t>> rules = {{store_.grammar().start(), kNoLoop}};
  IdMap known_rules, known_states;
  known_rules.set(rules[0].first, kNoLoop, 0);
  const auto add_rule = [&](StateId start, uint32_t loop) {
    if (known_rules.find(start, loop) != IdMap::kNone) return;
    known_rules.set(start, loop, 0);
    rules.emplace_back(start, loop);
  };
  visited_ = 0;
  for (size_t rule = 0; rule < rules.size(); ++rule) {
    const auto [start, loop] = rules[rule];
    std::vector<StateId> states = {start};
    known_states.clear();
    known_states.set(start, 0, 0);
    const auto add_state = [&](StateId state) {
      if (known_states.find(state, 0) != IdMap::kNone) return;
      known_states.set(state, 0, 0);
      states.push_back(state);
    };
    for (size_t at = 0; at < states.size(); ++at) {
      const StateId state = states[at];
      for (const Grammar::Edge& edge : store_.grammar().edges(state)) add_state(edge.target);
      for (const StateId target : store_.grammar().jumps(state)) add_state(target);
      for (const Grammar::Call& call : store_.grammar().calls(state)) {
        add_state(call.resume);
        if (call.is_loop)
          add_rule(store_.grammar().loops()[call.callee].body, call.callee);
        else  // a rule that its caller ends with leaves nothing on the stack but what the caller has
          add_rule(call.callee, store_.grammar().is_end(call.resume) ? loop : kNoLoop);
      }
      if (!is_wide(state, nodes_by_byte)) continue;
      if (loop == kNoLoop)
        verdict_at(state);
      else
        verdict_in_free_loop(state, loop);
      if (gave_up() || visited_ > kPrepareNodes) return;
    }
  }
}

bool MaskBuilder::is_wide(StateId state, std::span<const size_t> nodes_by_byte) const {
  size_t n_bytes = 0, n_nodes = 0;
  // A byte that leads to a place of its own leads into words, of which few go on: where texts are listed,
  // each place is its own and not worth it.
  for (const Grammar::Edge& edge : store_.grammar().edges(state))
    for (size_t byte = edge.first; byte <= edge.last && edge.first < edge.last; ++byte, ++n_bytes)
      n_nodes += nodes_by_byte[byte];
  return n_bytes >= kWideBytes && n_nodes > kDirectNodes;
}

bool MaskBuilder::gave_up() const { return store_.exhausted() || visited_ > kMaxNodes; }

void MaskBuilder::keep(ConfigId config, std::span<const uint64_t> mask) {
  Cached cached;
  size_t n = 0;
  for (const uint64_t word : mask) n += static_cast<size_t>(__builtin_popcountll(word));
  if (n * 2 > mask.size()) {  // four bytes an id against eight a word
    cached.words.assign(mask.begin(), mask.end());
  } else {
    cached.tokens.reserve(n);
    for (size_t i = 0; i < mask.size(); ++i)
      for (uint64_t word = mask[i]; word != 0; word &= word - 1)
        cached.tokens.push_back(static_cast<TokenId>(i * 64 + static_cast<size_t>(__builtin_ctzll(word))));
  }
  bytes_ += cached.words.size() * sizeof(uint64_t) + cached.tokens.size() * sizeof(TokenId) + 64;
  cache_.emplace(config, std::move(cached));
}

bool MaskBuilder::walk_directly(ConfigId config) {
  found_.clear();
  const auto nodes = trie_->nodes();
  const Grammar& grammar = store_.grammar();
  path_[0] = config;
  for (uint32_t i = 1; i < trie_->n_nodes();) {
    if (++visited_ > kDirectNodes) return false;
    const TokenTrie::Node& node = nodes[i];
    const ConfigId next = store_.step_class(path_[node.depth - 1u], grammar.class_of(node.byte));
    if (next == ConfigStore::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = next;
    for (const TokenId id : trie_->tokens_at(i)) found_.push_back(id);
    ++i;
  }
  return true;
}

void MaskBuilder::add_element(const ConfigStore::Element& element, std::span<uint64_t> mask) {
  const auto below = store_.entries(element.stack);
  const std::vector<ConfigStore::StackEntry> entries(below.begin(), below.end());
  bool returns = store_.includes_bottom(element.stack);
  for (const auto& [frame, rest] : entries) {
    if (frame.is_loop()) {
      add_loop(element.state, frame, rest, mask);
    } else {
      returns = true;
    }
  }
  if (!returns) return;
  const Verdict& inside = verdict_at(element.state);
  add_inside(inside, kAnyRounds, mask);
  if (!inside.exits.empty()) add_exits(inside, kAnyRounds, store_.after_return(element.stack), mask);
}

void MaskBuilder::add_loop(StateId state, Frame frame, StackId below, std::span<uint64_t> mask) {
  const Grammar::Loop& loop = store_.grammar().loops()[frame.loop()];
  const uint32_t left = loop.max == kUnbounded ? kAnyRounds : loop.max - frame.rounds();
  // Rounds still owed: none, more than any token has, or a number that exits have to be held against.
  const uint32_t owed = frame.rounds() >= loop.min ? 0 : loop.min - frame.rounds();
  const bool may_leave = owed <= trie_->longest();
  const Verdict& inside =
      owed == 0 || !may_leave ? verdict_in_free_loop(state, frame.loop()) : verdict_in_loop(state, frame);
  const uint32_t rounds = owed == 0 || !may_leave ? left : kAnyRounds;
  add_inside(inside, rounds, mask);
  if (may_leave && !inside.exits.empty()) add_exits(inside, rounds, store_.after_loop(below), mask);
}

void MaskBuilder::add_inside(const Verdict& verdict, uint32_t rounds, std::span<uint64_t> mask) const {
  if (verdict.up_to.empty()) return;
  const size_t r = std::min<size_t>(rounds, verdict.up_to.size() - 1);
  size_t from = 0;
  if (!verdict.dense.empty()) {
    const size_t dense = std::min(r, verdict.dense.size() - 1);
    const std::vector<uint64_t>& words = verdict.dense[dense];
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= words[i];
    from = verdict.up_to[dense];
  }
  for (size_t i = from; i < verdict.up_to[r]; ++i) set_bit(mask, verdict.tokens[i]);
}

void MaskBuilder::add_exits(const Verdict& verdict, uint32_t rounds, ConfigId context,
                            std::span<uint64_t> mask) {
  const Grammar& grammar = store_.grammar();
  for (size_t byte = 0; byte < 256; ++byte) {
    const uint32_t begin = verdict.exit_begin[byte], end = verdict.exit_begin[byte + 1];
    if (begin == end) continue;
    const size_t byte_class = grammar.class_of(static_cast<uint8_t>(byte));
    if (!store_.has_step(context, byte_class)) continue;
    const ConfigId next = store_.step_class(context, byte_class);
    if (next == ConfigStore::kDead) continue;
    for (uint32_t i = begin; i < end; ++i)
      if (verdict.exits[i].rounds <= rounds) add_below(verdict.exits[i].node, next, mask);
  }
}

// `config` is where one stands at `node`.
void MaskBuilder::add_below(uint32_t node, ConfigId config, std::span<uint64_t> mask) {
  const auto nodes = trie_->nodes();
  const Grammar& grammar = store_.grammar();
  const uint32_t end = nodes[node].end;
  path_[nodes[node].depth] = config;
  for (const TokenId id : trie_->tokens_at(node)) set_bit(mask, id);
  ++visited_;
  for (uint32_t i = node + 1; i < end;) {
    ++visited_;
    const ConfigId next = store_.step_class(path_[nodes[i].depth - 1u], grammar.class_of(nodes[i].byte));
    if (next == ConfigStore::kDead) {
      i = nodes[i].end;
      continue;
    }
    path_[nodes[i].depth] = next;
    for (const TokenId id : trie_->tokens_at(i)) set_bit(mask, id);
    ++i;
  }
}

const Verdict& MaskBuilder::verdict_at(StateId state) {
  return analyse(verdicts_, state, state, ConfigStore::kBottom, std::nullopt);
}

const Verdict& MaskBuilder::verdict_in_free_loop(StateId state, uint32_t loop) {
  const uint32_t free = store_.free_loop(loop);
  const StackId stack = store_.push(Frame::loop(free, 0), ConfigStore::kBottom);
  return analyse(free_verdicts_, static_cast<uint64_t>(free) << 32 | state, state, stack,
                 store_.grammar().loops()[loop].body);
}

const Verdict& MaskBuilder::verdict_in_loop(StateId state, Frame frame) {
  return analyse(loop_verdicts_[state], frame.bits(), state, store_.push(frame, ConfigStore::kBottom),
                 kNotShared);
}

const Verdict& MaskBuilder::analyse(Verdicts& known, uint64_t key, StateId state, StackId stack,
                                    std::optional<StateId> body) {
  const auto [at, added] = known.try_emplace(key);
  if (!added) return *at->second;
  const Signature shared = body == kNotShared ? Signature{} : signature(store_.grammar(), state, body);
  if (!shared.empty()) at->second = trie_->verdicts().find(shared);
  if (at->second == nullptr) {
    auto result = std::make_shared<Verdict>(walk(store_.single(state, stack)));
    if (gave_up()) {  // incomplete: of use to nobody
      known.erase(at);
      unfinished_ = std::move(result);
      return *unfinished_;
    }
    make_dense(*result);
    at->second = std::move(result);
    if (!shared.empty()) trie_->verdicts().add(shared, at->second);
  }
  bytes_ += at->second->bytes();
  return *at->second;
}

Verdict MaskBuilder::walk(ConfigId start) {
  const auto nodes = trie_->nodes();
  const Grammar& grammar = store_.grammar();
  std::vector<std::pair<uint32_t, TokenId>> tokens;
  std::vector<Verdict::Exit> exits;
  path_[0] = start;
  for (uint32_t i = 1; i < trie_->n_nodes() && !store_.exhausted();) {
    ++visited_;
    const TokenTrie::Node& node = nodes[i];
    const ConfigId before = path_[node.depth - 1u];
    if (store_.accepts(before)) exits.push_back({i, store_.accept_rounds(before)});
    const ConfigId next = store_.step_class(before, grammar.class_of(node.byte));
    if (next == ConfigStore::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = next;
    if (const auto ids = trie_->tokens_at(i); !ids.empty()) {
      uint32_t rounds = store_.elements(next).empty() ? UINT32_MAX : store_.rounds(next);
      if (store_.accepts(next)) rounds = std::min(rounds, store_.accept_rounds(next));
      for (const TokenId id : ids) tokens.emplace_back(rounds, id);
    }
    ++i;
  }
  return sorted_verdict(tokens, exits);
}

// Counted instead of compared: there are as many tokens as a vocabulary has, and few rounds and bytes.
Verdict MaskBuilder::sorted_verdict(std::span<const std::pair<uint32_t, TokenId>> tokens,
                                    std::span<const Verdict::Exit> exits) const {
  const auto nodes = trie_->nodes();
  Verdict out;
  for (const auto& [rounds, id] : tokens) {
    if (out.up_to.size() <= rounds) out.up_to.resize(rounds + 1);
    ++out.up_to[rounds];
  }
  std::partial_sum(out.up_to.begin(), out.up_to.end(), out.up_to.begin());
  std::vector<uint32_t> next(out.up_to.size());
  for (size_t r = 1; r < next.size(); ++r) next[r] = out.up_to[r - 1];
  out.tokens.resize(tokens.size());
  for (const auto& [rounds, id] : tokens) out.tokens[next[rounds]++] = id;
  if (exits.empty()) return out;
  out.exit_begin.assign(257, 0);
  for (const Verdict::Exit& exit : exits) ++out.exit_begin[nodes[exit.node].byte + 1u];
  std::partial_sum(out.exit_begin.begin(), out.exit_begin.end(), out.exit_begin.begin());
  next.assign(out.exit_begin.begin(), out.exit_begin.end() - 1);
  out.exits.resize(exits.size());
  for (const Verdict::Exit& exit : exits) out.exits[next[nodes[exit.node].byte]++] = exit;
  return out;
}

void MaskBuilder::make_dense(Verdict& verdict) const {
  const size_t words = (trie_->vocab_size() + 63) / 64;
  if (verdict.tokens.size() < words) return;
  std::vector<uint64_t> bits(words);
  size_t done = 0;
  for (size_t r = 0; r < verdict.up_to.size() && r <= kDenseRounds; ++r) {
    for (; done < verdict.up_to[r]; ++done) set_bit(bits, verdict.tokens[done]);
    verdict.dense.push_back(bits);
  }
}

}  // namespace atelier::constraint
