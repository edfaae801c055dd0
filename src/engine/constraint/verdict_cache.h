// What tokens do inside a rule, remembered for all grammars over one vocabulary.
//
// A verdict depends on the automaton that can be reached from a state and on the vocabulary, on nothing else.
// The strings and numbers of one schema are those of every other; so is what was found out about them, which
// took a walk over the whole vocabulary. Two states are known to be the same by their signature: the
// automaton below them, written down in the order in which it is discovered.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/constraint/grammar.h"
#include "text/tokenizer.h"

namespace atelier::constraint {

// The verdict on all tokens from one state of a rule on.
struct Verdict {
  struct Exit {
    uint32_t node;    // of the tree of tokens: the first one outside of the rule
    uint32_t rounds;  // of the loop at hand that were begun before, beyond the present one
  };
  std::vector<TokenId> tokens;               // that stay inside, by rounds they begin
  std::vector<uint32_t> up_to;               // [r]: how many of them begin at most r rounds
  std::vector<std::vector<uint64_t>> dense;  // [r]: the same as bits, if they are many, for the first rounds
  std::vector<Exit> exits;                   // by byte
  std::vector<uint32_t> exit_begin;          // [257], or nothing where there are no exits

  size_t bytes() const;
};

// The automaton that can be reached from `state`, and where that stands in a loop from the loop's `body` as
// well, independent of how its states are numbered. Empty if it is larger than is worth writing down.
using Signature = std::vector<uint32_t>;
Signature signature(const Grammar& grammar, StateId state, std::optional<StateId> body);

// Thread-safe. Bounded: forgets everything when it is full; who still holds a verdict keeps it.
class VerdictCache {
 public:
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  std::shared_ptr<const Verdict> find(const Signature& key) const;
  void add(Signature key, std::shared_ptr<const Verdict> verdict);
  size_t bytes() const;

 private:
  struct Hash {
    size_t operator()(const Signature& key) const;
  };
  mutable std::mutex mutex_;
  std::unordered_map<Signature, std::shared_ptr<const Verdict>, Hash> verdicts_;
  size_t bytes_ = 0;
};

}  // namespace atelier::constraint
