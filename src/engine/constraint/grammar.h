// A context-free grammar over bytes, compiled to a pushdown automaton with counters.
//
// Every rule is a nondeterministic automaton of its own with one start and one final state. A state leads on
// by byte edges, by jumps (which cost nothing), and by calls: a call enters the start of another rule and
// goes on at `resume` when that rule's final state is reached. A loop is a call that enters its body between
// `min` and `max` times, counted, so that {0,1000} is one state and not a thousand.
//
// Guaranteed by GrammarBuilder::build: no rule can call itself without consuming a byte first, no loop body
// matches the empty text, and from every state the end of its rule can be reached, so that whatever has been
// matched so far can always be completed.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace atelier::constraint {

using StateId = uint32_t;
inline constexpr uint32_t kUnbounded = UINT32_MAX;

class Grammar {
 public:
  struct Edge {
    uint8_t first, last;  // bytes, both inside
    StateId target;
  };
  struct Call {
    bool is_loop;
    uint32_t callee;  // a loop's index, or the start state of a rule
    StateId resume;
  };
  struct Loop {
    StateId body;
    uint32_t min, max;  // max: kUnbounded for no limit
  };

  size_t n_states() const { return final_.size(); }
  StateId start() const { return start_; }
  bool is_final(StateId s) const { return final_[s] != 0; }
  // Final, and there is nothing else to do there: whoever resumes here need not be remembered.
  bool is_end(StateId s) const {
    return is_final(s) && edges(s).empty() && jumps(s).empty() && calls(s).empty();
  }
  std::span<const Edge> edges(StateId s) const { return slice(edges_, edge_begin_, s); }
  std::span<const StateId> jumps(StateId s) const { return slice(jumps_, jump_begin_, s); }
  std::span<const Call> calls(StateId s) const { return slice(calls_, call_begin_, s); }
  std::span<const Loop> loops() const { return loops_; }

  // Bytes that no edge tells apart share a class; classes are numbered by ascending bytes.
  size_t n_classes() const { return class_first_.size(); }
  uint8_t class_of(uint8_t byte) const { return class_of_[byte]; }
  uint8_t class_first(size_t byte_class) const { return class_first_[byte_class]; }
  size_t class_size(size_t byte_class) const {
    return (byte_class + 1 < n_classes() ? class_first_[byte_class + 1] : 256u) - class_first_[byte_class];
  }

  // The same grammar without the texts that need other bytes. kUnsupported if none is left.
  Result<std::shared_ptr<const Grammar>> restricted_to(const std::bitset<256>& bytes) const;

 private:
  friend class GrammarCompiler;

  // A grammar under construction: lists per state instead of slices.
  struct Draft {
    std::vector<std::vector<Edge>> edges;
    std::vector<std::vector<StateId>> jumps;
    std::vector<std::vector<Call>> calls;
    std::vector<uint8_t> final;
    std::vector<Loop> loops;
    StateId start = 0;
  };
  Draft draft() const;
  // Removes what leads nowhere, shortens chains of jumps and freezes. Null if nothing can be matched.
  static std::shared_ptr<const Grammar> finish(Draft draft);
  // For every state: can its rule's end be reached, of bytes only over those in `through`?
  static std::vector<uint8_t> reaches_end(const Draft& draft, const std::bitset<256>& through);
  static void prune(Draft& draft);
  static void shorten_jumps(Draft& draft);
  void freeze(const Draft& draft);
  void classify_bytes();

  template <class T>
  static std::span<const T> slice(const std::vector<T>& all, const std::vector<uint32_t>& begin, StateId s) {
    return std::span(all).subspan(begin[s], begin[s + 1] - begin[s]);
  }

  std::vector<Edge> edges_;
  std::vector<StateId> jumps_;
  std::vector<Call> calls_;
  std::vector<uint32_t> edge_begin_, jump_begin_, call_begin_;  // [n_states + 1]
  std::vector<uint8_t> final_;
  std::vector<Loop> loops_;
  StateId start_ = 0;
  std::array<uint8_t, 256> class_of_{};
  std::vector<uint8_t> class_first_;
};

}  // namespace atelier::constraint
