#include "engine/constraint/config_store.h"

#include <algorithm>

namespace atelier::constraint {
namespace {

constexpr uint32_t kMaxDepth = 2000;     // of a stack; what would go deeper is not legal
constexpr size_t kMaxElements = 10'000;  // of a configuration; texts that need more are not legal
constexpr StackId kTooDeep = UINT32_MAX;

uint64_t hash_entries(std::span<const ConfigStore::StackEntry> entries, bool bottom) {
  uint64_t hash = bottom ? 0x9e3779b97f4a7c15 : 1;
  for (const auto& entry : entries) hash = mix_hash(hash ^ entry.frame.bits()) + entry.below;
  return mix_hash(hash);
}

uint64_t hash_elements(std::span<const ConfigStore::Element> elements, bool accepts, uint32_t rounds) {
  uint64_t hash = accepts ? 0x9e3779b97f4a7c15 + rounds : 1;
  for (const auto& element : elements)
    hash = mix_hash(hash ^ (static_cast<uint64_t>(element.state) << 32 | element.stack));
  return mix_hash(hash);
}

}  // namespace

ConfigStore::ConfigStore(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), n_loops_(static_cast<uint32_t>(grammar_->loops().size())) {
  IdMap first;
  for (uint32_t i = 0; i < n_loops_; ++i) {
    const StateId body = grammar_->loops()[i].body;
    if (first.find(body, 0) == IdMap::kNone) first.set(body, 0, i);
    first_with_body_.push_back(first.find(body, 0));
  }
  intern_stack({}, /*bottom=*/true);  // kBottom
  begin_closure();
  intern_config();  // kDead
  begin_closure();
  enter(grammar_->start(), kBottom);
  start_ = finish_closure();
}

ConfigId ConfigStore::single(StateId state, StackId stack) {
  begin_closure();
  found_.push_back({state, stack});
  return intern_config();
}

ConfigId ConfigStore::after_return(StackId stack) {
  const uint32_t known = return_memo_.find(stack, 0);
  if (known != IdMap::kNone) return known;
  begin_closure();
  if (includes_bottom(stack)) accepts_ = true;
  for (const StackEntry& entry : entries(stack))
    if (!entry.frame.is_loop()) enter(entry.frame.state(), entry.below);
  const ConfigId config = finish_closure();
  if (!exhausted_) return_memo_.set(stack, 0, config);
  return config;
}

ConfigId ConfigStore::after_loop(StackId below) {
  const uint32_t known = loop_memo_.find(below, 0);
  if (known != IdMap::kNone) return known;
  begin_closure();
  tasks_.push_back({kPop, below, 0});
  const ConfigId config = finish_closure();
  if (!exhausted_) loop_memo_.set(below, 0, config);
  return config;
}

uint32_t ConfigStore::new_row(ConfigId config) {
  const auto row = static_cast<uint32_t>(rows_.size());
  rows_.resize(rows_.size() + grammar_->n_classes(), kDead);
  for (const Element& element : elements(config))
    for (const Grammar::Edge& edge : grammar_->edges(element.state))
      std::fill(rows_.begin() + row + grammar_->class_of(edge.first),
                rows_.begin() + row + grammar_->class_of(edge.last) + 1, kNotRead);
  configs_[config].row = row;
  return row;
}

ConfigId ConfigStore::take_step(ConfigId config, size_t byte_class) {
  const uint8_t byte = grammar_->class_first(byte_class);
  begin_closure();
  for (const Element& element : elements(config))
    for (const Grammar::Edge& edge : grammar_->edges(element.state))
      if (edge.first <= byte && byte <= edge.last) enter(edge.target, element.stack);
  const ConfigId next = finish_closure();
  if (!exhausted_) rows_[configs_[config].row + byte_class] = next;
  return next;
}

void ConfigStore::begin_closure() {
  tasks_.clear();
  visited_.clear();
  found_.clear();
  accepts_ = overflow_ = false;
  accept_rounds_ = UINT32_MAX;
}

ConfigId ConfigStore::finish_closure() {
  while (!tasks_.empty()) {
    if (budget_ == 0) {
      exhausted_ = true;
      return kDead;
    }
    --budget_;
    const Task task = tasks_.back();
    tasks_.pop_back();
    visit(task);
    if (overflow_) return kDead;
  }
  merge_found();
  return intern_config();
}

void ConfigStore::visit(const Task& task) {
  const uint32_t before = visited_.find(task.state, task.stack);
  if (before != IdMap::kNone && before <= task.rounds) return;
  visited_.set(task.state, task.stack, task.rounds);
  if (task.state == kPop) return leave(task.stack, task.rounds);
  const Grammar& g = *grammar_;
  if (!g.edges(task.state).empty()) found_.push_back({task.state, task.stack});
  overflow_ = found_.size() > kMaxElements;
  if (g.is_final(task.state)) tasks_.push_back({kPop, task.stack, 0});
  for (const StateId target : g.jumps(task.state)) enter(target, task.stack);
  for (const Grammar::Call& call : g.calls(task.state)) {
    const bool tail = g.is_end(call.resume);
    const StackId stack = tail ? task.stack : push(Frame::resume(call.resume), task.stack);
    if (stack == kTooDeep) continue;
    if (!call.is_loop) {
      enter(call.callee, stack);
      continue;
    }
    const Grammar::Loop& loop = g.loops()[call.callee];
    if (loop.min == 0) tasks_.push_back(tail ? Task{kPop, task.stack, 0} : Task{call.resume, task.stack, 0});
    if (loop.max > 0) enter_loop(call.callee, 1, stack);
  }
}

void ConfigStore::enter_loop(uint32_t loop, uint32_t rounds, StackId below) {
  const StackId stack = push(Frame::loop(loop, rounds), below);
  if (stack == kTooDeep) return;
  enter(grammar_->loops()[is_free(loop) ? loop - n_loops_ : loop].body, stack);
}

void ConfigStore::leave(StackId stack, uint32_t rounds) {
  if (includes_bottom(stack)) {
    accepts_ = true;
    accept_rounds_ = std::min(accept_rounds_, rounds);
  }
  const Stack set = stacks_[stack];
  for (uint32_t i = 0; i < set.count; ++i) {
    const auto [frame, below] = entries_[set.begin + i];  // a copy: pushing adds entries
    if (!frame.is_loop()) {
      enter(frame.state(), below);
      continue;
    }
    const bool free = is_free(frame.loop());
    const Grammar::Loop loop = free ? Grammar::Loop{0, 0, kUnbounded} : grammar_->loops()[frame.loop()];
    if (frame.rounds() >= loop.min)
      tasks_.push_back({kPop, below, free && below == kBottom ? frame.rounds() : 0});
    if (frame.rounds() < loop.max) {
      const bool saturated = !free && loop.max == kUnbounded && frame.rounds() >= loop.min;
      enter_loop(frame.loop(), frame.rounds() + (saturated ? 0 : 1), below);
    }
  }
}

void ConfigStore::merge_found() {
  if (found_.size() < 2) return;
  std::ranges::sort(found_, {}, [](const Element& e) { return std::pair(e.state, e.stack); });
  std::vector<StackId> stacks;
  size_t kept = 0;
  for (size_t i = 0; i < found_.size();) {
    const StateId state = found_[i].state;
    stacks.clear();
    for (; i < found_.size() && found_[i].state == state; ++i) stacks.push_back(found_[i].stack);
    found_[kept++] = {state, unite(stacks)};
  }
  found_.resize(kept);
}

ConfigId ConfigStore::intern_config() {
  if (!accepts_ || accept_rounds_ == UINT32_MAX) accept_rounds_ = 0;
  const auto hash_of = [this](ConfigId id) {
    return hash_elements(elements(id), configs_[id].accepts, configs_[id].accept_rounds);
  };
  return config_table_.find_or_add(
      hash_elements(found_, accepts_, accept_rounds_),
      [&](ConfigId id) {
        return configs_[id].accepts == accepts_ && configs_[id].accept_rounds == accept_rounds_ &&
               std::ranges::equal(elements(id), found_);
      },
      [&] {
        uint32_t rounds = found_.empty() ? 0 : UINT32_MAX;
        for (const Element& element : found_) rounds = std::min(rounds, stacks_[element.stack].rounds);
        configs_.push_back({.begin = static_cast<uint32_t>(elements_.size()),
                            .count = static_cast<uint32_t>(found_.size()),
                            .row = kNotRead,
                            .rounds = rounds,
                            .accept_rounds = accept_rounds_,
                            .accepts = accepts_});
        elements_.insert(elements_.end(), found_.begin(), found_.end());
        return static_cast<ConfigId>(configs_.size() - 1);
      },
      hash_of);
}

StackId ConfigStore::push(Frame frame, StackId below) {
  if (stacks_[below].depth >= kMaxDepth) return kTooDeep;
  const StackEntry entry{frame, below};
  return intern_stack(std::span(&entry, 1), /*bottom=*/false);
}

StackId ConfigStore::intern_stack(std::span<const StackEntry> content, bool bottom) {
  const auto hash_of = [this](StackId id) { return hash_entries(entries(id), stacks_[id].bottom); };
  return stack_table_.find_or_add(
      hash_entries(content, bottom),
      [&](StackId id) { return stacks_[id].bottom == bottom && std::ranges::equal(entries(id), content); },
      [&] {
        uint32_t depth = 0, rounds = UINT32_MAX;
        for (const auto& [frame, below] : content) {
          depth = std::max(depth, stacks_[below].depth + 1);
          const bool counts = below == kBottom && frame.is_loop() && is_free(frame.loop());
          rounds = std::min(rounds, counts ? frame.rounds() : stacks_[below].rounds);
        }
        stacks_.push_back({.begin = static_cast<uint32_t>(entries_.size()),
                           .count = static_cast<uint32_t>(content.size()),
                           .depth = depth,
                           .rounds = bottom || content.empty() ? 0 : rounds,
                           .bottom = bottom});
        entries_.insert(entries_.end(), content.begin(), content.end());
        return static_cast<StackId>(stacks_.size() - 1);
      },
      hash_of);
}

// `stacks` ascending, without repetitions. What lies below equal frames is united in turn.
StackId ConfigStore::unite(std::span<const StackId> stacks) {
  if (stacks.size() == 1) return stacks[0];
  if (stacks.size() == 2) {
    const uint32_t known = union_memo_.find(stacks[0], stacks[1]);
    if (known != IdMap::kNone) return known;
  }
  std::vector<StackEntry> all;
  bool bottom = false;
  for (const StackId stack : stacks) {
    all.insert(all.end(), entries(stack).begin(), entries(stack).end());
    bottom = bottom || includes_bottom(stack);
  }
  budget_ -= std::min<uint64_t>(budget_, all.size());
  std::ranges::sort(all, {}, [](const StackEntry& e) { return std::pair(e.frame, e.below); });
  std::vector<StackEntry> merged;
  std::vector<StackId> below;
  for (size_t i = 0; i < all.size();) {
    const Frame frame = all[i].frame;
    below.clear();
    for (; i < all.size() && all[i].frame == frame; ++i)
      if (below.empty() || below.back() != all[i].below) below.push_back(all[i].below);
    merged.push_back({frame, unite(below)});
  }
  const StackId out = intern_stack(merged, bottom);
  if (stacks.size() == 2) union_memo_.set(stacks[0], stacks[1], out);
  return out;
}

ConfigId ConfigStore::import(const ConfigStore& other, ConfigId config, std::vector<StackId>& known) {
  known.resize(other.stacks_.size(), kTooDeep);
  // What lies below has a smaller id, so ascending ids copy the ground first.
  std::vector<StackId> work;
  std::vector<uint8_t> wanted(other.stacks_.size());
  const auto want = [&](StackId id) {
    if (known[id] != kTooDeep || wanted[id]) return;
    wanted[id] = 1;
    work.push_back(id);
  };
  for (const Element& element : other.elements(config)) want(element.stack);
  for (size_t next = 0; next < work.size(); ++next)
    for (const StackEntry& entry : other.entries(work[next])) want(entry.below);
  std::ranges::sort(work);
  for (const StackId id : work) {
    std::vector<StackEntry> content(other.entries(id).begin(), other.entries(id).end());
    for (StackEntry& entry : content) entry.below = known[entry.below];
    known[id] = intern_stack(content, other.includes_bottom(id));
  }
  begin_closure();
  for (const Element& element : other.elements(config))
    found_.push_back({element.state, known[element.stack]});
  accepts_ = other.accepts(config);
  accept_rounds_ = other.accept_rounds(config);
  return intern_config();
}

size_t ConfigStore::bytes() const {
  return stacks_.size() * sizeof(Stack) + entries_.size() * sizeof(StackEntry) +
         configs_.size() * sizeof(Config) + elements_.size() * sizeof(Element) +
         rows_.size() * sizeof(ConfigId) + stack_table_.bytes() + config_table_.bytes() +
         union_memo_.bytes() + return_memo_.bytes() + loop_memo_.bytes();
}

}  // namespace atelier::constraint
