// Where a match can stand: configurations of a Grammar's automaton, each stored once, and the steps between
// them, each computed once. Following a text is a walk over integers; a state is copied, kept and rolled back
// by copying one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/constraint/grammar.h"
#include "engine/constraint/intern_table.h"

namespace atelier::constraint {

using StackId = uint32_t;
using ConfigId = uint32_t;

// What is to be done when a rule's end is reached: go on at a state, or count one more round of a loop.
class Frame {
 public:
  static Frame resume(StateId state) { return Frame(state); }
  static Frame loop(uint32_t loop, uint32_t rounds) {
    return Frame(kLoopBit | static_cast<uint64_t>(loop) << 32 | rounds);
  }
  bool is_loop() const { return (bits_ & kLoopBit) != 0; }
  StateId state() const { return static_cast<StateId>(bits_); }
  uint32_t loop() const { return static_cast<uint32_t>(bits_ >> 32) & 0x7FFFFFFF; }
  uint32_t rounds() const { return static_cast<uint32_t>(bits_); }  // begun, the present one included
  uint64_t bits() const { return bits_; }
  auto operator<=>(const Frame&) const = default;

 private:
  static constexpr uint64_t kLoopBit = uint64_t{1} << 63;
  explicit Frame(uint64_t bits) : bits_(bits) {}
  uint64_t bits_;
};

class ConfigStore {
 public:
  // A set of stacks, as a tree read from the top: alternatives of (top frame, what lies below). No two have
  // the same frame and equal sets are stored once, so that a set has one id.
  struct StackEntry {
    Frame frame;
    StackId below;
    bool operator==(const StackEntry&) const = default;
  };
  // A state with bytes to consume, and all the stacks it may have under it.
  struct Element {
    StateId state;
    StackId stack;
    bool operator==(const Element&) const = default;
  };

  static constexpr ConfigId kDead = 0;   // nothing can match any more
  static constexpr StackId kBottom = 0;  // the empty stack alone
  static constexpr uint32_t kNotRead = UINT32_MAX;

  explicit ConfigStore(std::shared_ptr<const Grammar> grammar);
  const Grammar& grammar() const { return *grammar_; }

  ConfigId start() const { return start_; }
  ConfigId step(ConfigId config, uint8_t byte) { return step_class(config, grammar_->class_of(byte)); }
  ConfigId step_class(ConfigId config, size_t byte_class) {
    uint32_t row = configs_[config].row;
    if (row == kNotRead) row = new_row(config);
    const ConfigId known = rows_[row + byte_class];
    return known != kNotRead ? known : take_step(config, byte_class);
  }
  // Is any byte of this class legal? Cheaper than a step.
  bool has_step(ConfigId config, size_t byte_class) {
    uint32_t row = configs_[config].row;
    if (row == kNotRead) row = new_row(config);
    return rows_[row + byte_class] != kDead;
  }

  // The text so far is complete.
  bool accepts(ConfigId config) const { return configs_[config].accepts; }
  // In analyses that start inside a free loop: the fewest rounds after which that loop can be left, or that
  // the rest of the configuration needs.
  uint32_t accept_rounds(ConfigId config) const { return configs_[config].accept_rounds; }
  uint32_t rounds(ConfigId config) const { return configs_[config].rounds; }

  std::span<const Element> elements(ConfigId config) const {
    return std::span(elements_).subspan(configs_[config].begin, configs_[config].count);
  }
  std::span<const StackEntry> entries(StackId stack) const {
    return std::span(entries_).subspan(stacks_[stack].begin, stacks_[stack].count);
  }
  bool includes_bottom(StackId stack) const { return stacks_[stack].bottom; }

  // The configuration of one state above a stack.
  ConfigId single(StateId state, StackId stack);
  StackId push(Frame frame, StackId below);
  // Where the stack's return frames lead (loop frames on top are left out).
  ConfigId after_return(StackId stack);
  // Where one ends up when a loop above `below` is left.
  ConfigId after_loop(StackId below);

  // The loop without limits that has the body of `loop`, its rounds counted: for analyses that serve any
  // number of rounds.
  uint32_t free_loop(uint32_t loop) const { return first_with_body_[loop] + n_loops_; }
  bool is_free(uint32_t loop) const { return loop >= n_loops_; }

  // Copies a configuration of another store of the same grammar.
  ConfigId import(const ConfigStore& other, ConfigId config, std::vector<StackId>& known);

  size_t bytes() const;
  // Work since the last call, in closure steps; past `limit` every new step is dead and exhausted() is true.
  void set_budget(uint64_t limit) {
    budget_ = limit;
    exhausted_ = false;
  }
  bool exhausted() const { return exhausted_; }

 private:
  struct Stack {
    uint32_t begin, count;
    uint32_t depth;
    uint32_t rounds;  // of the free loop at the bottom, the fewest of all stacks in the set
    bool bottom;
  };
  struct Config {
    uint32_t begin, count;
    uint32_t row;  // into rows_
    uint32_t rounds, accept_rounds;
    bool accepts;
  };
  struct Task {
    StateId state;  // kPop: leave the rule
    StackId stack;
    uint32_t rounds;
  };
  static constexpr StateId kPop = UINT32_MAX;

  uint32_t new_row(ConfigId config);
  ConfigId take_step(ConfigId config, size_t byte_class);

  // The closure under construction: what can be reached without consuming a byte.
  void begin_closure();
  void enter(StateId state, StackId stack) { tasks_.push_back({state, stack, 0}); }
  ConfigId finish_closure();
  void visit(const Task& task);
  void leave(StackId stack, uint32_t rounds);
  void enter_loop(uint32_t loop, uint32_t rounds, StackId below);
  // Brings what was found into the one form it is stored in.
  void merge_found();
  ConfigId intern_config();

  StackId intern_stack(std::span<const StackEntry> entries, bool bottom);
  StackId unite(std::span<const StackId> stacks);

  std::shared_ptr<const Grammar> grammar_;
  uint32_t n_loops_;
  std::vector<uint32_t> first_with_body_;

  std::vector<Stack> stacks_;
  std::vector<StackEntry> entries_;
  std::vector<Config> configs_;
  std::vector<Element> elements_;
  std::vector<ConfigId> rows_;
  InternTable stack_table_, config_table_;
  IdMap union_memo_, return_memo_, loop_memo_;
  ConfigId start_ = kDead;

  std::vector<Task> tasks_;
  IdMap visited_;
  std::vector<Element> found_;
  bool accepts_ = false;
  uint32_t accept_rounds_ = 0;
  bool overflow_ = false;
  uint64_t budget_ = UINT64_MAX;
  bool exhausted_ = false;
};

}  // namespace atelier::constraint
