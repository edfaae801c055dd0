// Byte-pair merges: which two neighbouring tokens become one, and in which order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocab.h"

namespace atelier {

class MergeTable {
 public:
  using Rank = uint32_t;  // position in the file's list: lower merges first
  static constexpr Rank kNoMerge = UINT32_MAX;

  // Adds the next merge of the list. A pair listed twice keeps the later rank.
  void add(TokenId left, TokenId right, TokenId merged);
  // Builds the look-up table, after the last add. Errors: kLimit (pairs made to collide).
  Status finish();

  Rank rank(TokenId left, TokenId right) const;
  TokenId merged(Rank rank) const { return merges_[rank].merged; }
  size_t size() const { return merges_.size(); }

  // Merges until no pair is left that merges: always the pair of lowest rank, of several the leftmost.
  // `ids` are the symbols of one piece and `ranks[i]` is rank(ids[i], ids[i + 1]) for all but the last, whose
  // value does not matter. Both are scratch afterwards; the result stands at the front of `ids`.
  // Returns its length. O(n log n), and for short pieces simply fast.
  size_t merge(std::span<TokenId> ids, std::span<Rank> ranks) const;

 private:
  struct Merge {
    TokenId left;
    TokenId right;
    TokenId merged;
  };
  struct Slot {
    TokenId left = kNoToken;
    TokenId right = kNoToken;
    Rank rank = kNoMerge;
  };
  static uint64_t hash(TokenId left, TokenId right);
  size_t merge_short(std::span<TokenId> ids, std::span<Rank> ranks) const;
  size_t merge_long(std::span<TokenId> ids, std::span<Rank> ranks) const;

  std::vector<Merge> merges_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace atelier
