#include "engine/constraint/token_trie.h"

#include <algorithm>
#include <cstring>

namespace atelier::constraint {
namespace {

struct Entry {
  uint64_t prefix;  // the first eight bytes, big-endian, zeros after the end: most comparisons need no more
  std::string_view bytes;
  TokenId id;
  bool operator<(const Entry& other) const {
    if (prefix != other.prefix) return prefix < other.prefix;
    const int order = bytes.compare(other.bytes);
    return order != 0 ? order < 0 : id < other.id;
  }
};

uint64_t prefix_of(std::string_view bytes) {
  uint64_t prefix = 0;
  for (size_t i = 0; i < 8; ++i)
    prefix = prefix << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0u);
  return prefix;
}

std::vector<Entry> sorted_entries(const Tokenizer& tokenizer) {
  std::vector<Entry> entries;
  entries.reserve(tokenizer.vocab_size());
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.empty() || bytes.size() > TokenTrie::kMaxTokenBytes || tokenizer.is_special(id)) continue;
    entries.push_back({prefix_of(bytes), bytes, id});
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

std::shared_ptr<const TokenTrie> TokenTrie::build(const Tokenizer& tokenizer) {
  auto trie = std::make_shared<TokenTrie>();
  trie->vocab_size_ = tokenizer.vocab_size();
  trie->nodes_.push_back({.end = 0, .tokens = 0, .depth = 0, .byte = 0});
  std::vector<uint32_t> path = {0};  // the nodes on the way to the last token
  std::string_view last;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back())
      trie->nodes_[path.back()].end = static_cast<uint32_t>(trie->nodes_.size());
  };
  for (const Entry& entry : sorted_entries(tokenizer)) {
    size_t common = 0;
    while (common < last.size() && common < entry.bytes.size() && last[common] == entry.bytes[common])
      ++common;
    close(common + 1);
    for (size_t i = common; i < entry.bytes.size(); ++i) {
      path.push_back(static_cast<uint32_t>(trie->nodes_.size()));
      trie->nodes_.push_back({.end = 0,
                              .tokens = static_cast<uint32_t>(trie->tokens_.size()),
                              .depth = static_cast<uint16_t>(i + 1),
                              .byte = static_cast<uint8_t>(entry.bytes[i])});
    }
    trie->tokens_.push_back(entry.id);
    trie->longest_ = std::max(trie->longest_, entry.bytes.size());
    if (entry.bytes.size() == 1) trie->singles_.set(static_cast<uint8_t>(entry.bytes[0]));
    last = entry.bytes;
  }
  close(0);
  trie->nodes_.push_back({.end = static_cast<uint32_t>(trie->nodes_.size() + 1),
                          .tokens = static_cast<uint32_t>(trie->tokens_.size()),
                          .depth = 0,
                          .byte = 0});
  return trie;
}

}  // namespace atelier::constraint
