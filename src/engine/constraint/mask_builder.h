// Which tokens may follow a configuration.
//
// What a token does inside the rule at hand depends on that rule's state alone; only where it goes past the
// rule's end does the context matter. So the tree of tokens is walked once for each state of a rule, and what
// comes out serves every place the rule is used in: the tokens that stay inside, and the exits, places in the
// tree where the rule was left and the context has to judge what follows. For a state inside a counted loop
// the walk notes how many more rounds each token takes; so one walk serves all counts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/constraint/config_store.h"
#include "engine/constraint/token_trie.h"

namespace atelier::constraint {

class MaskBuilder {
 public:
  MaskBuilder(std::shared_ptr<const TokenTrie> trie, ConfigStore& store);

  // Writes one bit per token, [token_mask_words(vocab_size)]. Special tokens have none. False, and the mask
  // worthless, if that takes more work than is allowed for one step (see ConfigStore::set_budget).
  bool build(ConfigId config, std::span<uint64_t> mask);
  size_t bytes() const { return bytes_; }

 private:
  struct Exit {
    uint32_t node;    // the first node outside of the rule
    uint32_t rounds;  // of the loop at hand that were begun before, beyond the present one
  };
  // The verdict on all tokens from one state on.
  struct Local {
    std::vector<TokenId> tokens;  // that stay inside, by rounds they begin
    std::vector<uint32_t> up_to;  // [r]: how many of them begin at most r rounds
    std::vector<std::vector<uint64_t>>
        dense;                         // [r]: the same as bits, if they are many, for r up to kDenseRounds
    std::vector<Exit> exits;           // by byte
    std::vector<uint32_t> exit_begin;  // [257]
    size_t bytes() const;
  };
  struct Cached {
    std::vector<TokenId> tokens;  // if few
    std::vector<uint64_t> words;  // if many
  };
  static constexpr uint32_t kAnyRounds = UINT32_MAX;

  // Tries to walk the tree with the configuration itself. False, `found_` worthless, if that visits too much.
  bool walk_directly(ConfigId config);
  void add_element(const ConfigStore::Element& element, std::span<uint64_t> mask);
  void add_loop(StateId state, Frame frame, StackId below, std::span<uint64_t> mask);
  void add_local(const Local& local, uint32_t rounds, std::span<uint64_t> mask) const;
  void add_exits(const Local& local, uint32_t rounds, ConfigId context, std::span<uint64_t> mask);
  void add_below(uint32_t node, ConfigId config, std::span<uint64_t> mask);

  const Local& local(StateId state);
  const Local& local_in_free_loop(StateId state, uint32_t loop);
  const Local& local_in_loop(StateId state, Frame frame);
  const Local& analyse(std::unordered_map<uint64_t, Local>& cache, uint64_t key, StateId state,
                       StackId stack);
  Local walk(ConfigId config);
  void make_dense(Local& local) const;
  bool gave_up() const;
  void keep(ConfigId config, std::span<const uint64_t> mask);

  std::shared_ptr<const TokenTrie> trie_;
  ConfigStore& store_;
  std::unordered_map<uint64_t, Local> locals_, free_locals_;
  std::unordered_map<StateId, std::unordered_map<uint64_t, Local>> loop_locals_;
  std::unordered_map<ConfigId, Cached> cache_;
  std::vector<ConfigId> path_;  // configurations by depth
  std::vector<TokenId> found_;
  Local unfinished_;
  size_t visited_ = 0;  // nodes, in this build()
  size_t bytes_ = 0;
};

}  // namespace atelier::constraint
