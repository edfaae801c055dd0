#include "text/byte_trie.h"

#include <algorithm>

namespace atelier {

// Ten times what the largest known vocabulary has; 200 MB.
constexpr size_t kMaxNodes = size_t{1} << 24;

// Level by level: a range of the sorted strings that share their first `depth` bytes is a node.
Result<ByteTrie> ByteTrie::build(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  struct Range {
    size_t begin;
    size_t end;
  };
  ByteTrie trie;
  trie.nodes_.emplace_back();
  trie.labels_.push_back('\0');
  std::vector<Range> level = {{0, entries.size()}};
  size_t first = 0;  // the node of level[0]
  for (size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Range> next;
    for (size_t i = 0; i < level.size(); ++i) {
      auto [begin, end] = level[i];
      const size_t node = first + i;
      if (begin < end && entries[begin].text.size() == depth) trie.nodes_[node].id = entries[begin++].id;
      trie.nodes_[node].first_child = static_cast<uint32_t>(trie.nodes_.size());
      while (begin < end) {
        const char label = entries[begin].text[depth];
        size_t behind = begin + 1;
        while (behind < end && entries[behind].text[depth] == label) ++behind;
        next.push_back({begin, behind});
        trie.nodes_.emplace_back();
        trie.labels_.push_back(label);
        ++trie.nodes_[node].n_children;
        begin = behind;
      }
      if (trie.nodes_.size() > kMaxNodes)
        return fail(ErrorCode::kLimit, "a vocabulary whose prefixes are more than {}", kMaxNodes);
    }
    first = trie.nodes_.size() - next.size();
    level = std::move(next);
  }
  return trie;
}

}  // namespace atelier
