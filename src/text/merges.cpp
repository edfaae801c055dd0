#include "text/merges.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/check.h"
#include "base/checked.h"

namespace atelier {
namespace {

constexpr size_t kBucketSlots = kCacheLineBytes / sizeof(uint64_t);
constexpr uint64_t kFree = UINT64_MAX;
constexpr int kRankBits = 24;
constexpr int kIdBits = 20;
static_assert(kMaxTokenId < 1 << kIdBits && MergeTable::kMaxMerges < 1 << kRankBits);
constexpr uint64_t kRankMask = (uint64_t{1} << kRankBits) - 1;
constexpr uint64_t kIdMask = (uint64_t{1} << kIdBits) - 1;

constexpr uint64_t kSharedRank = uint64_t{1} << (3 * kIdBits);

// A pair in the bits above those of a rank.
uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(left) << kIdBits | static_cast<uint64_t>(right)) << kRankBits;
}

// At 5 of 8 slots in use a bucket overflows rarely; only pairs chosen to collide fill many in a row.
constexpr size_t kMaxProbes = 2048;

}  // namespace

Status MergeTable::add(TokenId left, TokenId right, TokenId merged, Ranked ranked) {
  if (added_.size() >= kMaxMerges) return fail(ErrorCode::kLimit, "expected at most {} merges", kMaxMerges);
  const uint64_t shared = ranked == Ranked::kWithPrevious && !added_.empty() ? kSharedRank : 0;
  added_.push_back(shared | pair_key(left, right) >> kRankBits << kIdBits | static_cast<uint64_t>(merged));
  return {};
}

const uint64_t* MergeTable::bucket_of(uint64_t key) const {
  // Multiplied twice so that every bit of the pair reaches the upper half, which is then scaled to the table.
  const uint64_t mixed = (key ^ key >> 29) * 0x9E3779B97F4A7C15;
  const uint64_t hash = (mixed ^ mixed >> 32) * 0xD1B54A32D192ED03;
  return slots_.data() + ((hash >> 32) * n_buckets_ >> 32) * kBucketSlots;
}

Status MergeTable::finish() {
  n_buckets_ = added_.size() / 5 + 1;
  slots_ = Buffer<uint64_t>(n_buckets_ * kBucketSlots);
  merged_ = Buffer<TokenId>(added_.size());
  std::fill(slots_.span().begin(), slots_.span().end(), kFree);
  constexpr size_t kAhead = 16;
  const auto key_of = [this](size_t i) { return (added_[i] & ~kSharedRank) >> kIdBits << kRankBits; };
  size_t rank = 0;
  for (size_t i = 0; i < added_.size(); ++i) {
    if (i + kAhead < added_.size()) __builtin_prefetch(bucket_of(key_of(i + kAhead)), 1);
    const uint64_t key = key_of(i);
    if ((added_[i] & kSharedRank) == 0) rank = i;
    merged_[rank] = static_cast<TokenId>(added_[i] & kIdMask);
    size_t slot = static_cast<size_t>(bucket_of(key) - slots_.data());
    for (size_t probes = 0; slots_[slot] != kFree && (slots_[slot] & ~kRankMask) != key;) {
      if (++slot == slots_.size()) slot = 0;
      if (++probes > kMaxProbes)
        return fail(ErrorCode::kLimit, "the merges collide in more than {} slots", kMaxProbes);
    }
    slots_[slot] = key | rank;
  }
  added_ = {};
  return {};
}

MergeTable::Rank MergeTable::rank_from(const uint64_t* bucket, uint64_t key) const {
  const uint64_t* end = slots_.data() + slots_.size();
  for (const uint64_t* slot = bucket;;) {
    if ((*slot & ~kRankMask) == key) return static_cast<Rank>(*slot & kRankMask);
    if (*slot == kFree) return kNoMerge;
    if (++slot == end) slot = slots_.data();
  }
}

MergeTable::Rank MergeTable::rank(TokenId left, TokenId right) const {
  const uint64_t key = pair_key(left, right);
  return rank_from(bucket_of(key), key);
}

size_t MergeTable::merge(std::span<TokenId> ids, std::span<Rank> ranks) const {
  ATELIER_CHECK(ids.size() == ranks.size() && ids.size() <= INT32_MAX);
  if (ids.empty()) return 0;
  ranks.back() = kNoMerge;
  if (ids.size() > MergeJob::kMaxSymbols) return merge_long(ids, ranks);
  MergeJob job;
  job.start();
  for (size_t i = 0; i < ids.size(); ++i) job.push(ids[i], i == 0 ? kNoMerge : ranks[i - 1]);
  job.ready();
  while (job.step(*this)) {
  }
  std::copy(job.symbols().begin(), job.symbols().end(), ids.begin());
  return job.symbols().size();
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

void MergeJob::push(TokenId id, Rank rank_with_previous) {
  ids_[n_] = id;
  if (n_ > 0) pairs_[n_ - 1] = pair(rank_with_previous, n_ - 1);
  next_[n_] = static_cast<uint8_t>(n_ + 1);
  previous_[n_ + 1] = static_cast<uint8_t>(n_);
  ++n_;
}

void MergeJob::ready() {
  previous_[0] = 0;
  std::fill(pairs_.begin() + (n_ > 0 ? n_ - 1 : 0),
            pairs_.begin() + round_up(std::max<size_t>(n_, 1), kLanes), kNoPair);
  for (Pending& pending : pending_) pending.bucket = nullptr;
}

void MergeJob::resolve(const MergeTable& table) {
  for (Pending& pending : pending_) {
    if (pending.bucket == nullptr) continue;
    const Rank rank = table.rank_from(pending.bucket, pending.key);
    if (rank != MergeTable::kNoMerge) __builtin_prefetch(&table.merged_[rank]);
    pairs_[pending.position] = pair(rank, pending.position);
    pending.bucket = nullptr;
  }
}

uint32_t MergeJob::least() const {
  using Lanes = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));
  Lanes least;
  std::memcpy(&least, pairs_.data(), sizeof(least));
  for (size_t i = kLanes; i < n_; i += kLanes) {
    Lanes next;
    std::memcpy(&next, &pairs_[i], sizeof(next));
    least = next < least ? next : least;
  }
  static_assert(kLanes == 4);
  return std::min(std::min(least[0], least[1]), std::min(least[2], least[3]));
}

bool MergeJob::step(const MergeTable& table) {
  resolve(table);
  const uint32_t best = least();
  if (best == kNoPair) {
    compact();
    return false;
  }
  const size_t i = best & ((1 << kPositionBits) - 1);
  const size_t right = next_[i];
  const size_t after = next_[right];
  ids_[i] = table.merged(best >> kPositionBits);
  pairs_[i] = kNoPair;
  pairs_[right] = kNoPair;
  next_[i] = static_cast<uint8_t>(after);
  previous_[after] = static_cast<uint8_t>(i);
  const auto ask = [&](Pending& pending, size_t left_at, size_t right_at) {
    pending.key = pair_key(ids_[left_at], ids_[right_at]);
    pending.bucket = table.bucket_of(pending.key);
    pending.position = left_at;
    __builtin_prefetch(pending.bucket);
  };
  if (i > 0) ask(pending_[0], previous_[i], i);
  if (after < n_) ask(pending_[1], i, after);
  return true;
}

void MergeJob::compact() {
  size_t count = 0;
  for (size_t i = 0; i < n_; i = next_[i]) ids_[count++] = ids_[i];
  n_ = count;
}

}  // namespace atelier
