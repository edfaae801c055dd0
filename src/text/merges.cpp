#include "text/merges.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

#include "base/check.h"

namespace atelier {
namespace {

constexpr size_t kMaxProbes = 1024;  // as in vocab.cpp
// Up to here a scan over all ranks costs less than keeping a heap: pieces are 5 to 15 bytes in most text.
constexpr size_t kShortPiece = 48;

}  // namespace

uint64_t MergeTable::hash(TokenId left, TokenId right) {
  const uint64_t key =
      static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  const auto product = static_cast<unsigned __int128>(key ^ 0x6A09E667F3BCC909) * 0x9E3779B97F4A7C15;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

void MergeTable::add(TokenId left, TokenId right, TokenId merged) {
  merges_.push_back({left, right, merged});
}

Status MergeTable::finish() {
  ATELIER_CHECK(merges_.size() < kNoMerge);
  slots_.assign(std::bit_ceil(std::max<size_t>(64, merges_.size() * 2)), Slot{});
  const size_t mask = slots_.size() - 1;
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto [left, right, merged] = merges_[rank];
    size_t i = static_cast<size_t>(hash(left, right)) & mask;
    for (size_t probes = 0; slots_[i].rank != kNoMerge; i = (i + 1) & mask) {
      if (slots_[i].left == left && slots_[i].right == right) break;
      if (++probes > kMaxProbes)
        return fail(ErrorCode::kLimit, "the merges collide in more than {} slots", kMaxProbes);
    }
    slots_[i] = {left, right, static_cast<Rank>(rank)};
  }
  return {};
}

MergeTable::Rank MergeTable::rank(TokenId left, TokenId right) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = static_cast<size_t>(hash(left, right)) & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if ((slot.left == left && slot.right == right) || slot.rank == kNoMerge) return slot.rank;
  }
}

size_t MergeTable::merge(std::span<TokenId> ids, std::span<Rank> ranks) const {
  ATELIER_CHECK(ids.size() == ranks.size() && ids.size() <= INT32_MAX);
  if (ids.empty()) return 0;
  ranks.back() = kNoMerge;
  return ids.size() <= kShortPiece ? merge_short(ids, ranks) : merge_long(ids, ranks);
}

size_t MergeTable::merge_short(std::span<TokenId> ids, std::span<Rank> ranks) const {
  size_t n = ids.size();
  for (;;) {
    size_t best = 0;
    for (size_t i = 1; i < n; ++i)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == kNoMerge) return n;
    ids[best] = merged(ranks[best]);
    const size_t moved = n - best - 2;  // symbols behind the pair
    if (moved > 0) {
      std::memmove(&ids[best + 1], &ids[best + 2], moved * sizeof(TokenId));
      std::memmove(&ranks[best + 1], &ranks[best + 2], moved * sizeof(Rank));
    }
    --n;
    ranks[best] = best + 1 < n ? rank(ids[best], ids[best + 1]) : kNoMerge;
    if (best > 0) ranks[best - 1] = rank(ids[best - 1], ids[best]);
  }
}

// A heap of candidate pairs over a linked list of symbols. An entry is stale, and dropped, when the pair at
// its position has another rank by now; it cannot come to have the same one again, because pairs only grow.
size_t MergeTable::merge_long(std::span<TokenId> ids, std::span<Rank> ranks) const {
  const size_t n = ids.size();
  struct Link {
    int32_t previous;
    int32_t next;  // −1 behind the last
  };
  std::vector<Link> links(n);
  std::vector<uint64_t> heap;  // rank in the upper half, position in the lower
  const auto entry = [](Rank rank, size_t position) { return static_cast<uint64_t>(rank) << 32 | position; };
  for (size_t i = 0; i < n; ++i) {
    links[i] = {static_cast<int32_t>(i) - 1, i + 1 < n ? static_cast<int32_t>(i) + 1 : -1};
    if (ranks[i] != kNoMerge) heap.push_back(entry(ranks[i], i));
  }
  constexpr std::greater<> kLowestFirst;
  std::make_heap(heap.begin(), heap.end(), kLowestFirst);
  const auto update = [&](size_t i) {
    const int32_t next = links[i].next;
    ranks[i] = next < 0 ? kNoMerge : rank(ids[i], ids[static_cast<size_t>(next)]);
    if (ranks[i] == kNoMerge) return;
    heap.push_back(entry(ranks[i], i));
    std::push_heap(heap.begin(), heap.end(), kLowestFirst);
  };
  while (!heap.empty()) {
    const auto top_rank = static_cast<Rank>(heap.front() >> 32);
    const auto i = static_cast<size_t>(heap.front() & UINT32_MAX);
    std::pop_heap(heap.begin(), heap.end(), kLowestFirst);
    heap.pop_back();
    if (ranks[i] != top_rank) continue;
    const auto right = static_cast<size_t>(links[i].next);
    ids[i] = merged(top_rank);
    ranks[right] = kNoMerge;  // its entries are stale
    links[i].next = links[right].next;
    if (links[i].next >= 0) links[static_cast<size_t>(links[i].next)].previous = static_cast<int32_t>(i);
    update(i);
    if (links[i].previous >= 0) update(static_cast<size_t>(links[i].previous));
  }
  size_t count = 0;
  for (int32_t i = 0; i >= 0; i = links[static_cast<size_t>(i)].next)
    ids[count++] = ids[static_cast<size_t>(i)];
  return count;
}

}  // namespace atelier
