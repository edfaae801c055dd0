#include "engine/prefix_cache.h"

#include <algorithm>

#include "base/check.h"

namespace atelier {

struct PrefixCache::Node {
  Node* parent = nullptr;
  size_t depth = 0;                                   // tokens from the root to here
  std::vector<TokenId> edge;                          // the last of them, those below the parent
  std::map<TokenId, std::unique_ptr<Node>> children;  // by the first token of their edge
  std::optional<KvSequence> sequence;
  uint64_t used = 0;  // the clock when a prompt last came through here

  size_t edge_start() const { return depth - edge.size(); }
};

namespace {

// How many tokens from `start` on two lists share.
size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  const size_t n = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(n);
  return static_cast<size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

}  // namespace

PrefixCache::PrefixCache(const KvPool& pool, uint64_t max_bytes)
    : pool_(&pool), max_bytes_(max_bytes), root_(std::make_unique<Node>()), page_users_(pool.n_groups()) {}

PrefixCache::~PrefixCache() { clear(); }

PrefixCache::Walk PrefixCache::walk(std::span<const TokenId> tokens) const {
  Walk at{root_.get(), 0};
  while (at.matched == at.node->depth && at.matched < tokens.size()) {
    const auto child = at.node->children.find(tokens[at.matched]);
    if (child == at.node->children.end()) break;
    at.node = child->second.get();
    at.matched += common_length(at.node->edge, tokens.subspan(at.matched));
  }
  return at;
}

// A node at or below `node` whose sequence can be cut back to `length`. Sequences further down have forgotten
// at least as much as those above them, so the first one on each branch decides for it.
PrefixCache::Node* PrefixCache::server_below(Node& node, size_t length, const Node* except) {
  std::vector<Node*> open = {&node};
  while (!open.empty()) {
    Node* at = open.back();
    open.pop_back();
    if (at->sequence) {
      if (at->sequence->can_truncate(length)) return at;
      continue;
    }
    for (const auto& [first, child] : at->children)
      if (child.get() != except) open.push_back(child.get());
  }
  return nullptr;
}

// The node whose sequence serves the most of the first `limit` tokens of the walk, and how many.
std::pair<PrefixCache::Node*, size_t> PrefixCache::best(const Walk& end, size_t limit) const {
  size_t length = std::min(end.matched, limit);
  const Node* from = nullptr;
  for (Node* node = end.node; length > 0; node = node->parent) {
    if (Node* server = server_below(*node, length, from); server != nullptr) return {server, length};
    from = node;
    length = std::min(length, node->parent == nullptr ? 0 : node->parent->depth);
  }
  return {nullptr, 0};
}

size_t PrefixCache::usable(std::span<const TokenId> tokens, size_t limit) const {
  return best(walk(tokens), limit).second;
}

PrefixCache::Hit PrefixCache::find(std::span<const TokenId> tokens, size_t limit) {
  const Walk end = walk(tokens);
  Hit hit{std::nullopt, std::min(end.matched, limit)};
  const auto [node, length] = best(end, limit);
  if (node == nullptr) return hit;
  hit.sequence = node->sequence->fork();
  hit.sequence->truncate(length);
  touch(*node);
  return hit;
}

void PrefixCache::insert(std::span<const TokenId> tokens, KvSequence sequence) {
  ATELIER_CHECK(!tokens.empty() && sequence.length() == tokens.size());
  if (max_bytes_ == 0) return;
  Node* node = place(tokens);
  if (const auto [server, length] = best({node, node->depth}, node->depth); length == node->depth) {
    touch(*server);
    return;
  }
  keep(*node, std::move(sequence));
  touch(*node);
  drop_served_ancestors(*node);
  while (bytes_ > max_bytes_ || lru_.size() > kMaxEntries) evict_one();
}

// The node for exactly `tokens`, made if there is none.
PrefixCache::Node* PrefixCache::place(std::span<const TokenId> tokens) {
  const Walk end = walk(tokens);
  if (end.matched < end.node->depth) split(*end.node, end.matched);
  Node* node = end.matched < end.node->depth ? end.node->parent : end.node;
  if (node->depth == tokens.size()) return node;
  auto leaf = std::make_unique<Node>();
  leaf->parent = node;
  leaf->depth = tokens.size();
  leaf->edge.assign(tokens.begin() + static_cast<std::ptrdiff_t>(node->depth), tokens.end());
  return (node->children[leaf->edge.front()] = std::move(leaf)).get();
}

// Puts a node at `depth` into the edge above `node`.
void PrefixCache::split(Node& node, size_t depth) {
  const auto n_upper = static_cast<std::ptrdiff_t>(depth - node.edge_start());
  std::unique_ptr<Node>& slot = node.parent->children.at(node.edge.front());
  std::unique_ptr<Node> lower = std::move(slot);
  auto upper = std::make_unique<Node>();
  upper->parent = node.parent;
  upper->depth = depth;
  upper->edge.assign(node.edge.begin(), node.edge.begin() + n_upper);
  upper->used = node.used;
  node.edge.erase(node.edge.begin(), node.edge.begin() + n_upper);
  node.parent = upper.get();
  upper->children[node.edge.front()] = std::move(lower);
  slot = std::move(upper);
}

// A use of `node`'s sequence. Nodes above it that keep none remember it for when they inherit one.
void PrefixCache::touch(Node& node) {
  lru_.erase({node.used, &node});
  lru_.insert({++clock_, &node});
  node.used = clock_;
  for (Node* at = node.parent; at != nullptr; at = at->parent)
    if (!at->sequence) at->used = clock_;
}

void PrefixCache::keep(Node& node, KvSequence sequence) {
  count_pages(sequence, true);
  node.sequence = std::move(sequence);
  lru_.insert({node.used, &node});
}

KvSequence PrefixCache::let_go(Node& node) {
  lru_.erase({node.used, &node});
  KvSequence sequence = std::move(*node.sequence);
  node.sequence.reset();
  count_pages(sequence, false);
  return sequence;
}

// What the new sequence can be cut back to need not be kept beside it.
void PrefixCache::drop_served_ancestors(Node& node) {
  for (Node* at = node.parent; at != nullptr; at = at->parent)
    if (at->sequence && node.sequence->can_truncate(at->depth)) let_go(*at);
}

bool PrefixCache::evict_one() {
  if (lru_.empty()) return false;
  ++evictions_;
  Node& node = *lru_.begin()->second;  // used longest ago
  KvSequence sequence = let_go(node);
  Node* parent = node.parent;
  const bool only_child = node.children.empty() && parent->children.size() == 1;
  if (only_child && parent->depth > 0 && !parent->sequence && sequence.can_truncate(parent->depth)) {
    sequence.truncate(parent->depth);
    keep(*parent, std::move(sequence));
  }
  prune(&node);
  return true;
}

// Removes nodes that neither keep anything nor lead anywhere.
void PrefixCache::prune(Node* node) {
  while (node->parent != nullptr && node->children.empty() && !node->sequence) {
    Node* parent = node->parent;
    parent->children.erase(node->edge.front());
    node = parent;
  }
}

void PrefixCache::clear() {
  while (!lru_.empty()) let_go(*lru_.begin()->second);
  // A chain of nodes is as long as a conversation has turns: taken apart in a loop, not by recursion.
  std::vector<std::unique_ptr<Node>> open;
  open.push_back(std::exchange(root_, std::make_unique<Node>()));
  while (!open.empty()) {
    const std::unique_ptr<Node> node = std::move(open.back());
    open.pop_back();
    for (auto& [first, child] : node->children) open.push_back(std::move(child));
  }
}

void PrefixCache::count_pages(const KvSequence& sequence, bool add) {
  sequence.for_each_page([&](size_t group, KvPageId page) {
    std::vector<uint32_t>& users = page_users_[group];
    if (page >= users.size()) users.resize(page + 1, 0);
    if (add && users[page]++ == 0) bytes_ += pool_->page_bytes(group);
    if (!add && --users[page] == 0) bytes_ -= pool_->page_bytes(group);
  });
}

}  // namespace atelier
