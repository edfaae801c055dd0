// Byte-pair merges: which two neighbouring tokens become one, and in which order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "text/vocab.h"

namespace atelier {

class MergeTable {
 public:
  using Rank = uint32_t;  // position in the file's list: lower merges first
  static constexpr Rank kMaxMerges = (1 << 24) - 1;
  static constexpr Rank kNoMerge = kMaxMerges;  // no rank

  // Makes room for `n` merges.
  void reserve(size_t n) { added_.reserve(n); }
  // Adds the next merge of the list. A pair listed twice keeps the later rank. kWithPrevious: with the same
  // rank as the one before, which makes the same token. Errors: kLimit (kMaxMerges).
  enum class Ranked { kNext, kWithPrevious };
  Status add(TokenId left, TokenId right, TokenId merged, Ranked ranked = Ranked::kNext);
  // Builds the look-up table, after the last add. Errors: kLimit (pairs made to collide).
  Status finish();

  Rank rank(TokenId left, TokenId right) const;
  TokenId merged(Rank rank) const { return merged_[rank]; }
  size_t size() const { return added_.empty() ? merged_.size() : added_.size(); }  // of the list

  // Merges until no pair is left that merges: always the pair of lowest rank, of several the leftmost.
  // `ids` are the symbols of one piece and `ranks[i]` is rank(ids[i], ids[i + 1]) for all but the last, whose
  // value does not matter. Both are scratch afterwards; the result stands at the front of `ids`.
  // Returns its length. O(n log n), and for short pieces simply fast.
  size_t merge(std::span<TokenId> ids, std::span<Rank> ranks) const;

 private:
  friend class MergeJob;
  const uint64_t* bucket_of(uint64_t key) const;
  Rank rank_from(const uint64_t* bucket, uint64_t key) const;
  size_t merge_long(std::span<TokenId> ids, std::span<Rank> ranks) const;

  // Whether with the rank of the one before (1 bit), left, right and merged id (20 bits each); until
  // finish().
  std::vector<uint64_t> added_;
  Buffer<TokenId> merged_;  // by rank
  // Hash table of pairs. A slot is left id, right id (20 bits each), rank (24 bits), or kFree; a bucket is a
  // cache line of slots, filled from the front; what finds its bucket full goes to the next.
  Buffer<uint64_t> slots_;
  size_t n_buckets_ = 0;
};

// The merging of one short piece, a merge at a time: the table is larger than the inner caches, and pieces
// that take turns wait for it together. Symbols stay where they are, linked to their neighbours.
class MergeJob {
 public:
  using Rank = MergeTable::Rank;
  static constexpr size_t kMaxSymbols = 128;  // up to here a scan over all pairs costs less than a heap

  void start() { n_ = 0; }
  // The next symbol, and the rank of the pair it forms with the one before (ignored for the first).
  void push(TokenId id, Rank rank_with_previous);
  // After the last push(), before the first step().
  void ready();
  // Merges the pair of lowest rank, the leftmost of several. False once there is none.
  bool step(const MergeTable& table);
  // What is left of the symbols, after a step() that returned false.
  std::span<const TokenId> symbols() const { return {ids_.data(), n_}; }

 private:
  void resolve(const MergeTable& table);
  uint32_t least() const;
  void compact();

  // A pair is a number with its rank above its position, so that the least says at once what to merge where.
  static constexpr uint32_t kNoPair = UINT32_MAX;
  static constexpr int kPositionBits = 8;
  static constexpr size_t kLanes = 4;  // compared at once
  static_assert(kMaxSymbols <= 1 << kPositionBits && kMaxSymbols % kLanes == 0);
  static uint32_t pair(Rank rank, size_t position) {
    return rank == MergeTable::kNoMerge ? kNoPair : rank << kPositionBits | static_cast<uint32_t>(position);
  }

  // A pair whose rank has been asked for and not yet been read. Null: none.
  struct Pending {
    const uint64_t* bucket;
    uint64_t key;
    size_t position;
  };

  size_t n_;
  std::array<Pending, 2> pending_;
  alignas(kCacheLineBytes) std::array<uint32_t, kMaxSymbols> pairs_;  // [i]: symbol i with the next one
  std::array<TokenId, kMaxSymbols> ids_;
  std::array<uint8_t, kMaxSymbols + 1> next_;
  std::array<uint8_t, kMaxSymbols + 1> previous_;
};

}  // namespace atelier
