#include "engine/constraint/constraint.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "engine/constraint/distances.h"
#include "engine/constraint/mask_builder.h"

namespace atelier::constraint {
namespace {

// Of one constraint's caches. A schema of a common tool takes a few MB for all of its states.
constexpr size_t kMaxCacheBytes = size_t{96} << 20;
// Closure steps for one mask or token, about half a second; ordinary steps take a few hundred.
constexpr uint64_t kStepBudget = 5'000'000;

}  // namespace

struct Constraint::Machine {
  Machine(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> vocabulary)
      : store(std::move(grammar)), masks(std::move(vocabulary), store) {}
  void note_size() { bytes.store(store.bytes() + masks.bytes(), std::memory_order_relaxed); }

  // Made when first asked for.
  Distances& distances() {
    if (!known_distances) known_distances.emplace(store);
    return *known_distances;
  }

  std::mutex mutex;
  ConfigStore store;
  MaskBuilder masks;
  std::optional<Distances> known_distances;
  std::atomic<size_t> bytes = 0;
};

Result<std::shared_ptr<Constraint>> Constraint::create(std::shared_ptr<const Grammar> grammar,
                                                       std::shared_ptr<const TokenTrie> vocabulary) {
  if (!vocabulary->single_bytes().all()) {
    ATELIER_TRY(grammar, grammar->restricted_to(vocabulary->single_bytes()));
  }
  return std::shared_ptr<Constraint>(new Constraint(std::move(grammar), std::move(vocabulary)));
}

Constraint::Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> vocabulary)
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)) {}

void Constraint::prepare() {
  const std::shared_ptr<Machine> at_work = machine();
  const std::lock_guard lock(at_work->mutex);
  at_work->store.set_budget(kStepBudget);
  at_work->masks.prepare();
  at_work->note_size();
}

size_t Constraint::bytes() {
  const std::lock_guard lock(mutex_);
  return machine_ == nullptr ? 0 : machine_->bytes.load(std::memory_order_relaxed);
}

std::shared_ptr<Constraint::Machine> Constraint::machine() {
  const std::lock_guard lock(mutex_);
  if (machine_ == nullptr || machine_->bytes.load(std::memory_order_relaxed) > kMaxCacheBytes)
    machine_ = std::make_shared<Machine>(grammar_, vocabulary_);
  return machine_;
}

ConstraintMatcher::ConstraintMatcher(std::shared_ptr<Constraint> constraint)
    : constraint_(std::move(constraint)), machine_(constraint_->machine()) {
  const std::lock_guard lock(machine_->mutex);
  history_.push_back(machine_->store.start());
}

Constraint::Machine& ConstraintMatcher::settle() {
  std::shared_ptr<Constraint::Machine> now = constraint_->machine();
  if (now == machine_) return *machine_;
  {
    const std::scoped_lock lock(machine_->mutex, now->mutex);
    std::vector<StackId> known;
    for (ConfigId& config : history_) config = now->store.import(machine_->store, config, known);
  }
  // Not under the locks: this may end the old machine, and its mutex with it.
  machine_ = std::move(now);
  return *machine_;
}

Status ConstraintMatcher::allowed(std::span<uint64_t> mask) {
  Constraint::Machine& machine = settle();
  const std::lock_guard lock(machine.mutex);
  machine.store.set_budget(kStepBudget);
  const bool done = machine.masks.build(at(), mask);
  machine.note_size();
  if (done) return {};
  return fail(
      ErrorCode::kLimit,
      "grammar: expected to know the next tokens within {} steps, found too many alternatives at once",
      kStepBudget);
}

bool ConstraintMatcher::accept(TokenId token, std::string_view bytes) {
  return token >= 0 && !bytes.empty() && accept_text(bytes);
}

bool ConstraintMatcher::accept_text(std::string_view bytes) {
  Constraint::Machine& machine = settle();
  const std::lock_guard lock(machine.mutex);
  machine.store.set_budget(kStepBudget);
  ConfigId config = at();
  for (const char c : bytes) {
    config = machine.store.step(config, static_cast<uint8_t>(c));
    if (config == ConfigStore::kDead) return false;
  }
  machine.note_size();
  history_.push_back(config);
  return true;
}

void ConstraintMatcher::rollback(size_t steps) {
  history_.resize(history_.size() - std::min(steps, this->steps()));
}

bool ConstraintMatcher::can_end() {
  const std::lock_guard lock(machine_->mutex);
  return machine_->store.accepts(at());
}

bool ConstraintMatcher::is_complete() {
  const std::lock_guard lock(machine_->mutex);
  return machine_->store.accepts(at()) && machine_->store.elements(at()).empty();
}

std::string ConstraintMatcher::forced(size_t max_bytes) {
  Constraint::Machine& machine = settle();
  const std::lock_guard lock(machine.mutex);
  machine.store.set_budget(kStepBudget);
  ConfigStore& store = machine.store;
  const Grammar& grammar = store.grammar();
  std::string text;
  ConfigId config = at();
  while (text.size() < max_bytes && !store.accepts(config)) {
    size_t only = grammar.n_classes();
    size_t n = 0;
    for (size_t c = 0; c < grammar.n_classes() && n < 2; ++c) {
      if (!store.has_step(config, c)) continue;
      n += grammar.class_size(c);
      only = c;
    }
    if (n != 1) break;
    const ConfigId next = store.step_class(config, only);
    if (next == ConfigStore::kDead) break;
    text.push_back(static_cast<char>(grammar.class_first(only)));
    config = next;
  }
  machine.note_size();
  return text;
}

std::string ConstraintMatcher::completion(std::string_view first) {
  Constraint::Machine& machine = settle();
  const std::lock_guard lock(machine.mutex);
  machine.store.set_budget(kStepBudget);
  ConfigId config = at();
  for (const char c : first) config = machine.store.step(config, static_cast<uint8_t>(c));
  const std::string rest = machine.distances().shortest_way(config);
  machine.note_size();
  if (config == ConfigStore::kDead || machine.store.exhausted()) return {};
  return std::string(first) + rest;
}

// A token is final once no token of the vocabulary that begins in it or before reaches past the forced text:
// then nothing that follows can change the cut. Looked for backwards from the end.
std::vector<TokenId> forced_tokens(std::string_view forced, const Tokenizer& tokenizer,
                                   const TokenTrie& trie) {
  const auto nodes = trie.nodes();
  const auto may_reach_past_end = [&](std::string_view rest) {
    uint32_t at = 0;
    for (const char c : rest) {
      uint32_t child = at + 1;
      while (child < nodes[at].end && nodes[child].byte != static_cast<uint8_t>(c)) child = nodes[child].end;
      if (child >= nodes[at].end) return false;
      at = child;
    }
    return nodes[at].end > at + 1;  // something goes on below
  };
  std::vector<TokenId> ids = tokenizer.encode(forced);
  size_t first_open = forced.size();
  const size_t from = forced.size() - std::min(forced.size(), trie.longest());
  for (size_t start = forced.size(); start-- > from;)
    if (may_reach_past_end(forced.substr(start))) first_open = start;
  size_t end = 0, kept = 0;
  for (; kept < ids.size(); ++kept) {
    const size_t next = end + tokenizer.token_bytes(ids[kept]).size();
    if (next > first_open) break;
    end = next;
  }
  ids.resize(kept);
  return ids;
}

}  // namespace atelier::constraint
