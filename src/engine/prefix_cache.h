// Finds, for a new prompt, the longest beginning whose keys and values are still there.
//
// A radix tree over token ids. A node stands for the tokens on the way from the root; where it keeps a
// sequence, that sequence's pages hold exactly these tokens. Pages are shared and counted, so that a thousand
// conversations behind one system prompt hold its pages once.
//
// Sliding windows forget: a sequence of length n can be cut back by a page or so, not to any length. So a
// kept sequence serves the lengths KvSequence::can_truncate says, and prompts are resumed exactly or not at
// all. Without windows every kept sequence serves all its beginnings, and shorter ones are not kept beside
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "engine/kv_cache.h"
#include "text/tokenizer.h"

namespace atelier {

class PrefixCache {
 public:
  // Holds on to at most `max_bytes` of pages, and at most kMaxEntries sequences. The pool outlives the cache.
  PrefixCache(const KvPool& pool, uint64_t max_bytes);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  static constexpr size_t kMaxEntries = 4096;

  struct Hit {
    std::optional<KvSequence> sequence;  // of exactly the first sequence->length() tokens; nothing: no hit
    size_t matched = 0;  // tokens that are known, whether or not their keys and values can be had
  };
  // The longest usable beginning of `tokens` of at most `limit` tokens.
  Hit find(std::span<const TokenId> tokens, size_t limit);
  // The length find() would give, without touching anything.
  size_t usable(std::span<const TokenId> tokens, size_t limit) const;

  // Keeps `sequence`, which holds exactly `tokens` (at least one). Where a longer one that is kept serves the
  // same length nothing is added.
  void insert(std::span<const TokenId> tokens, KvSequence sequence);

  // Lets go of what was not used for longest: the end of a branch, back to where another begins or began.
  // False if nothing is kept.
  bool evict_one();
  void clear();

  size_t entries() const { return lru_.size(); }
  uint64_t bytes() const { return bytes_; }  // of the pages kept, each counted once
  uint64_t evictions() const { return evictions_; }

 private:
  struct Node;
  struct Walk {      // where following `tokens` from the root ends
    Node* node;      // the last one reached or entered
    size_t matched;  // tokens followed; less than node's depth where it ends inside node's edge
  };
  Walk walk(std::span<const TokenId> tokens) const;
  std::pair<Node*, size_t> best(const Walk& end, size_t limit) const;
  static Node* server_below(Node& node, size_t length, const Node* except);
  Node* place(std::span<const TokenId> tokens);
  void split(Node& node, size_t depth);
  void touch(Node& node);
  void keep(Node& node, KvSequence sequence);
  KvSequence let_go(Node& node);
  void drop_served_ancestors(Node& node);
  void prune(Node* node);
  void count_pages(const KvSequence& sequence, bool add);

  const KvPool* pool_;
  uint64_t max_bytes_;
  std::unique_ptr<Node> root_;
  std::set<std::pair<uint64_t, Node*>> lru_;       // nodes that keep a sequence, by when they were used last
  uint64_t clock_ = 0;                             // counts uses
  std::vector<std::vector<uint32_t>> page_users_;  // [group][page]: kept sequences that hold the page
  uint64_t bytes_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace atelier
