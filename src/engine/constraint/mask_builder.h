// Which tokens may follow a configuration.
//
// What a token does inside the rule at hand depends on that rule's state alone; only where it goes past the
// rule's end does the context matter. So the tree of tokens is walked once for each state of a rule, and what
// comes out serves every place the rule is used in: the tokens that stay inside, and the exits, places in the
// tree where the rule was left and the context has to judge what follows. For a state inside a counted loop
// the walk notes how many more rounds each token takes; so one walk serves all counts. What another grammar's
// walk found out from the same state is taken from the vocabulary's cache.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/constraint/config_store.h"
#include "engine/constraint/token_trie.h"
#include "engine/constraint/verdict_cache.h"

namespace atelier::constraint {

class MaskBuilder {
 public:
  MaskBuilder(std::shared_ptr<const TokenTrie> trie, ConfigStore& store);

  // Writes one bit per token, [token_mask_words(vocab_size)]. Special tokens have none. False, and the mask
  // worthless, if that takes more work than is allowed for one step (see ConfigStore::set_budget).
  bool build(ConfigId config, std::span<uint64_t> mask);
  // Walks beforehand from the states that admit much of the vocabulary, such as the inside of a string, so
  // that no step has to. Stops when it has done about a tenth of a second's work.
  void prepare();
  size_t bytes() const { return bytes_; }

 private:
  struct Cached {
    std::vector<TokenId> tokens;  // if few
    std::vector<uint64_t> words;  // if many
  };
  static constexpr uint32_t kAnyRounds = UINT32_MAX;

  // Tries to walk the tree with the configuration itself. False, `found_` worthless, if that visits too much.
  bool walk_directly(ConfigId config);
  void add_element(const ConfigStore::Element& element, std::span<uint64_t> mask);
  void add_loop(StateId state, Frame frame, StackId below, std::span<uint64_t> mask);
  void add_inside(const Verdict& verdict, uint32_t rounds, std::span<uint64_t> mask) const;
  void add_exits(const Verdict& verdict, uint32_t rounds, ConfigId context, std::span<uint64_t> mask);
  void add_below(uint32_t node, ConfigId config, std::span<uint64_t> mask);

  using Verdicts = std::unordered_map<uint64_t, std::shared_ptr<const Verdict>>;
  const Verdict& verdict_at(StateId state);
  const Verdict& verdict_in_free_loop(StateId state, uint32_t loop);
  const Verdict& verdict_in_loop(StateId state, Frame frame);
  // `known[key]`, or what others found out from such a state (above a loop with this body), or a walk.
  const Verdict& analyse(Verdicts& known, uint64_t key, StateId state, StackId stack,
                         std::optional<StateId> body);
  Verdict walk(ConfigId config);
  Verdict sorted_verdict(std::span<const std::pair<uint32_t, TokenId>> tokens,
                         std::span<const Verdict::Exit> exits) const;
  // Might walking from here visit more nodes than walk_directly() does?
  bool is_wide(StateId state, std::span<const size_t> nodes_by_byte) const;
  void make_dense(Verdict& verdict) const;
  bool gave_up() const;
  void keep(ConfigId config, std::span<const uint64_t> mask);

  std::shared_ptr<const TokenTrie> trie_;
  ConfigStore& store_;
  Verdicts verdicts_, free_verdicts_;
  std::unordered_map<StateId, Verdicts> loop_verdicts_;
  std::unordered_map<ConfigId, Cached> cache_;
  std::vector<ConfigId> path_;  // configurations by depth
  std::vector<TokenId> found_;
  std::shared_ptr<const Verdict> unfinished_;
  size_t visited_ = 0;  // nodes, in this build()
  size_t bytes_ = 0;
};

}  // namespace atelier::constraint
