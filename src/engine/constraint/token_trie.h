// A vocabulary as a tree over bytes, laid out in the order of a depth-first walk.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/constraint/verdict_cache.h"
#include "text/tokenizer.h"

namespace atelier::constraint {

class TokenTrie {
 public:
  // Leaves out special tokens, tokens of no bytes, and those longer than kMaxTokenBytes.
  static std::shared_ptr<const TokenTrie> build(const Tokenizer& tokenizer);
  static constexpr size_t kMaxTokenBytes = 1024;

  struct Node {
    uint32_t end;     // one past the last node below this one: where to go on if nothing below matters
    uint32_t tokens;  // of tokens_: those of this node come first, then those below
    uint16_t depth;   // bytes on the way here; the root, node 0, has none
    uint8_t byte;     // the last of them
  };

  // One more than there are nodes: the last one only ends the list.
  std::span<const Node> nodes() const { return nodes_; }
  size_t n_nodes() const { return nodes_.size() - 1; }
  // The tokens that are exactly the bytes on the way to this node (several where a vocabulary repeats
  // itself).
  std::span<const TokenId> tokens_at(uint32_t node) const {
    return std::span(tokens_).subspan(nodes_[node].tokens, nodes_[node + 1].tokens - nodes_[node].tokens);
  }

  size_t vocab_size() const { return vocab_size_; }
  size_t n_tokens() const { return tokens_.size(); }
  size_t longest() const { return longest_; }                        // bytes
  const std::bitset<256>& single_bytes() const { return singles_; }  // bytes that are tokens by themselves

  // What is known about these tokens, whatever the grammar.
  VerdictCache& verdicts() const { return *verdicts_; }

 private:
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;  // by bytes, then by id
  size_t vocab_size_ = 0;
  size_t longest_ = 0;
  std::bitset<256> singles_;
  std::unique_ptr<VerdictCache> verdicts_ = std::make_unique<VerdictCache>();
};

}  // namespace atelier::constraint
