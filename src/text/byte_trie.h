// Finds every string of a set that a text begins with.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocab.h"

namespace atelier {

class ByteTrie {
 public:
  struct Entry {
    std::string_view text;  // not empty
    TokenId id;
  };
  // No text twice. Errors: kLimit (prefixes beyond reason).
  static Result<ByteTrie> build(std::vector<Entry> entries);

  // visit(length, id) for each string that is a prefix of `text`, the shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, Visit&& visit) const {
    if (nodes_.empty()) return;
    const Node* node = &nodes_[0];
    for (size_t i = 0; i < text.size(); ++i) {
      const char* labels = labels_.data() + node->first_child;
      const void* found = node->n_children == 0 ? nullptr : std::memchr(labels, text[i], node->n_children);
      if (found == nullptr) return;
      node = &nodes_[node->first_child + static_cast<size_t>(static_cast<const char*>(found) - labels)];
      if (node->id != kNoToken) visit(i + 1, node->id);
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;  // children lie together, their labels in labels_ at the same places
    uint32_t n_children = 0;
    TokenId id = kNoToken;
  };
  std::vector<Node> nodes_;
  std::string labels_;  // by node
};

}  // namespace atelier
