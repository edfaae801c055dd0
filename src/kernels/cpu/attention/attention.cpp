#include "kernels/cpu/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/buffer.h"
#include "base/checked.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention/attention.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"
//
#include "kernels/cpu/attention/products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kNoKey = -std::numeric_limits<float>::infinity();
// Highway converts f16 in software on SSE4; elsewhere a load converts at full speed.
constexpr bool kLoadsHalf = HWY_TARGET != HWY_SSE4;

// The rows of a tile in panels of equal size.
struct Panels {
  size_t count;
  size_t rows;
  size_t total() const { return count * rows; }
};
Panels panels_of(size_t n_rows) {
  const size_t count = n_rows <= kMaxPanelRows ? 1 : (n_rows + kPanelRows - 1) / kPanelRows;
  return {count, (n_rows + count - 1) / count};
}

size_t round_to_lanes(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

void attention_pack(const AttentionTile& tile, const AttentionScratch& scratch) {
  const Panels panels = panels_of(tile.n_rows);
  const size_t k_dim = tile.kv.k_dim;
  // The scale rides on the queries; scores come out in units of log2, or as the argument of the cap's tanh.
  const float scale = tile.softcap > 0 ? tile.scale / tile.softcap : tile.scale * kLog2E;
  const Floats d;
  const auto factor = hn::Set(d, scale);
  for (size_t row = 0; row < tile.n_rows; ++row) {
    const size_t head = (tile.first_row + row) % tile.group;
    const float* q = tile.q.data + tile.token(row) * tile.q.stride + head * k_dim;
    float* to = scratch.q + row * k_dim;
    size_t i = 0;
    for (; i + kLanes <= k_dim; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, q + i), factor), d, to + i);
    if (i < k_dim) store_n(hn::Mul(load_n(d, q + i, k_dim - i), factor), d, to + i, k_dim - i);
  }
  std::fill_n(scratch.q + tile.n_rows * k_dim, (panels.total() - tile.n_rows) * k_dim, 0.0f);
}

// A tile over the keys of one split, and what each of its rows sees, looked up once for all pages.
struct Split {
  explicit Split(const AttentionTile& whole) : tile(whole), panels(panels_of(whole.n_rows)) {
    for (size_t row = 0; row < tile.n_rows; ++row) keys[row] = tile.keys(row);
  }
  // Whether every row sees every position of a page; later rows see later keys.
  bool all_see(size_t page_start) const {
    return keys[0].end >= page_start + kKvPageTokens && keys[tile.n_rows - 1].first <= page_start;
  }
  const AttentionTile& tile;
  Panels panels;
  KeyRange keys[kAttentionTileRows];
};

// What a row sees of the page at hand: slots [lo, hi).
struct Slots {
  size_t lo, hi;
  bool all() const { return lo == 0 && hi == kKvPageTokens; }
};
Slots slots_of(KeyRange keys, size_t page_start) {
  const size_t lo = std::clamp(keys.first, page_start, page_start + kKvPageTokens) - page_start;
  const size_t hi = std::clamp(keys.end, page_start, page_start + kKvPageTokens) - page_start;
  return {lo, std::max(lo, hi)};
}

// Lanes of vector `vec` of a page that lie in `slots`.
HWY_INLINE hn::Mask<Floats> visible_lanes(Floats d, Slots slots, size_t vec) {
  const auto slot = hn::Iota(d, static_cast<float>(vec * kLanes));
  const auto lo = hn::Set(d, static_cast<float>(slots.lo)), hi = hn::Set(d, static_cast<float>(slots.hi));
  return hn::And(hn::Ge(slot, lo), hn::Lt(slot, hi));
}

// Largest visible score of a row; applies the cap and makes invisible ones −∞, which exp2 turns into 0.
HWY_INLINE float mask_and_max(Floats d, const AttentionTile& tile, Slots slots, float* scores) {
  auto max = hn::Set(d, kNoKey);
  if (tile.softcap <= 0 && slots.all()) {
    for (size_t vec = 0; vec < kPageVecs; ++vec) max = hn::Max(max, hn::LoadU(d, scores + vec * kLanes));
    return hn::GetLane(hn::MaxOfLanes(d, max));
  }
  for (size_t vec = 0; vec < kPageVecs; ++vec) {
    auto s = hn::LoadU(d, scores + vec * kLanes);
    if (tile.softcap > 0) s = hn::Mul(tanh(d, s), hn::Set(d, tile.softcap * kLog2E));
    s = hn::IfThenElse(visible_lanes(d, slots, vec), s, hn::Set(d, kNoKey));
    hn::StoreU(s, d, scores + vec * kLanes);
    max = hn::Max(max, s);
  }
  return hn::GetLane(hn::MaxOfLanes(d, max));
}

// scores = 2^(scores − max); returns their sum.
HWY_INLINE float exponentiate(Floats d, float max, float* scores) {
  const auto m = hn::Set(d, max);
  auto sum = hn::Zero(d);
  for (size_t vec = 0; vec < kPageVecs; ++vec) {
    const auto p = exp2_nonpositive(d, hn::Sub(hn::LoadU(d, scores + vec * kLanes), m));
    sum = hn::Add(sum, p);
    hn::StoreU(p, d, scores + vec * kLanes);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// Turns a page's scores into weights relative to the new maximum and updates max and sum. correction[r] is
// what the row's earlier weights must be multiplied by; it is exactly 1 for a row that sees nothing of this
// page.
void softmax_page(const Split& split, size_t page_start, float* scores, AttentionState state,
                  float* correction) {
  const Floats d;
  const AttentionTile& tile = split.tile;
  HWY_ALIGN float page_max[kAttentionTileRows];
  HWY_ALIGN float page_sum[kAttentionTileRows] = {};
  std::fill_n(page_max, kAttentionTileRows, kNoKey);
  const bool whole = split.all_see(page_start);
  for (size_t row = 0; row < tile.n_rows; ++row) {
    const Slots slots = whole ? Slots{0, kKvPageTokens} : slots_of(split.keys[row], page_start);
    if (slots.lo < slots.hi) page_max[row] = mask_and_max(d, tile, slots, scores + row * kKvPageTokens);
  }
  const size_t n = round_to_lanes(tile.n_rows);
  for (size_t row = 0; row < n; row += kLanes) {
    const auto old_max = hn::LoadU(d, state.max + row);
    const auto new_max = hn::Max(old_max, hn::Load(d, page_max + row));
    hn::StoreU(new_max, d, state.max + row);
    // −∞ − −∞ is NaN, which exp2_nonpositive turns into 0: rows without any key yet hold zeros.
    hn::StoreU(exp2_nonpositive(d, hn::Sub(old_max, new_max)), d, correction + row);
  }
  for (size_t row = 0; row < split.panels.total(); ++row) {
    float* row_scores = scores + row * kKvPageTokens;
    if (row < tile.n_rows && page_max[row] != kNoKey) {
      page_sum[row] = exponentiate(d, state.max[row], row_scores);
    } else {
      std::fill_n(row_scores, kKvPageTokens, 0.0f);
    }
  }
  for (size_t row = 0; row < n; row += kLanes) {
    const auto sum =
        hn::MulAdd(hn::LoadU(d, state.sum + row), hn::Load(d, correction + row), hn::Load(d, page_sum + row));
    hn::StoreU(sum, d, state.sum + row);
  }
}

// What the rows of a panel see of a page between them; what a row does not see has weight 0.
Slots panel_slots(const Split& split, size_t panel, size_t page_start) {
  const size_t first = panel * split.panels.rows;
  const size_t last = std::min(first + split.panels.rows, split.tile.n_rows) - 1;
  return slots_of({split.keys[first].first, split.keys[last].end}, page_start);
}

// The keys and values of a kv head in one page, and what to fetch meanwhile.
template <class T>
struct StoredPage {
  size_t start;  // its first position
  const T* k;    // [k_dim][kKvPageTokens]
  const T* v;    // [kKvPageTokens][v_stride]
  size_t v_stride;
  const float* k_scales;  // of 8 bits, as in kv_page.h
  const float* v_scales;
  const std::byte* next;  // the head's part of the following page, or null
  size_t next_bytes;
};

// Brings one of `n_shares` parts of the next page towards the core; whoever reads it finds it in L2. In
// parts, with work in between: a core waits at more than a few dozen lines at once.
template <class T>
void prefetch_share(const StoredPage<T>& page, size_t share, size_t n_shares) {
  if (page.next == nullptr) return;
  const size_t lines = page.next_bytes / kCacheLineBytes;
  for (size_t i = share * lines / n_shares; i < (share + 1) * lines / n_shares; ++i)
    __builtin_prefetch(page.next + i * kCacheLineBytes, 0, 2);
}

// Panels that see nothing of the page are left as they are.
template <class T>
void attend_page(const Split& split, const StoredPage<T>& page, const AttentionScratch& scratch,
                 AttentionState state) {
  const Panels panels = split.panels;
  const size_t k_dim = split.tile.kv.k_dim, o_stride = AttentionState::v_stride(split.tile.kv);
  const size_t n_columns = round_to_lanes(split.tile.kv.v_dim);
  // A share before each panel's scores, one before softmax and one before each panel's values.
  const size_t n_shares = 2 * panels.count + 1;
  for (size_t panel = 0; panel < panels.count; ++panel) {
    prefetch_share(page, panel, n_shares);
    const Slots slots = panel_slots(split, panel, page.start);
    if (slots.lo == slots.hi) continue;
    const size_t row = panel * panels.rows;
    PanelProducts<T>::kScores[panels.rows](scratch.q + row * k_dim, page.k, page.k_scales, k_dim,
                                           slots.lo / kLanes, (slots.hi + kLanes - 1) / kLanes,
                                           scratch.scores + row * kKvPageTokens);
  }
  prefetch_share(page, panels.count, n_shares);
  HWY_ALIGN float correction[kAttentionTileRows] = {};
  softmax_page(split, page.start, scratch.scores, state, correction);
  for (size_t panel = 0; panel < panels.count; ++panel) {
    prefetch_share(page, panels.count + 1 + panel, n_shares);
    const Slots slots = panel_slots(split, panel, page.start);
    if (slots.lo == slots.hi) continue;
    const size_t row = panel * panels.rows;
    PanelProducts<T>::kValues[panels.rows](
        {scratch.scores + row * kKvPageTokens, slots.lo, slots.hi, correction + row, page.v, page.v_scales,
         page.v_stride, split.tile.kv.v_blocks(), state.o + row * o_stride, o_stride},
        n_columns);
  }
}

// Chooses between reading the page where it lies and converting it to float32 first. Both give the same bits.
template <class T>
void attend_stored_page(const Split& split, StoredPage<T> page, const AttentionScratch& scratch,
                        AttentionState state) {
  constexpr bool kIsFloat = std::is_same_v<T, float>, kIsCode = std::is_same_v<T, int8_t>;
  const KvGeometry& kv = split.tile.kv;
  if constexpr (kIsFloat || kIsCode || kLoadsHalf) {
    const bool once = split.panels.count == 1;
    if ((kIsFloat || once) && kv.v_dim % kLanes == 0) return attend_page(split, page, scratch, state);
  }
  const Slots slots = slots_of(split.tile.keys(), page.start);
  const size_t v_stride = AttentionState::v_stride(kv);
  convert_values(page.v, kv.v_dim, slots.lo, slots.hi, scratch.v, v_stride);
  if constexpr (kIsCode) scale_values(page.v_scales, kv.v_blocks(), slots.lo, slots.hi, scratch.v, v_stride);
  const float* keys = scratch.k;
  if constexpr (kIsFloat) {
    keys = page.k;
  } else if constexpr (kIsCode) {
    convert_keys(page.k, page.k_scales, kv.k_dim, scratch.k);
  } else {
    convert(page.k, scratch.k, kv.k_dim * kKvPageTokens);
  }
  attend_page<float>(split,
                     {page.start, keys, scratch.v, v_stride, nullptr, nullptr, page.next, page.next_bytes},
                     scratch, state);
}

template <class T>
void attend_pages(const AttentionTile& tile, KeyRange keys, const AttentionScratch& scratch,
                  AttentionState state) {
  const Split split(tile);
  const KvGeometry& kv = tile.kv;
  const size_t k_offset = kv.k_offset(tile.kv_head);
  const auto scales = [&](const std::byte* page, size_t offset) {
    return kv.type == KvType::k8 ? reinterpret_cast<const float*>(page + offset) : nullptr;
  };
  for (size_t start = keys.first / kKvPageTokens * kKvPageTokens; start < keys.end; start += kKvPageTokens) {
    std::byte* const* at = &tile.pages[start / kKvPageTokens - tile.first_page];
    const std::byte* k = *at + k_offset;
    const std::byte* next = start + kKvPageTokens < keys.end ? at[1] + k_offset : nullptr;
    attend_stored_page<T>(
        split,
        {start, reinterpret_cast<const T*>(k), reinterpret_cast<const T*>(*at + kv.v_offset(tile.kv_head)),
         kv.v_dim, scales(*at, kv.k_scales_offset(tile.kv_head)),
         scales(*at, kv.v_scales_offset(tile.kv_head)), next, kv.head_bytes()},
        scratch, state);
  }
}

void attention_split(const AttentionTile& tile, size_t index, const AttentionScratch& scratch,
                     AttentionState state) {
  attention_clear(tile.kv, tile.n_rows, state);
  const size_t split_start = index * kAttentionSplitKeys;
  const KeyRange keys = {std::max(tile.keys().first, split_start),
                         std::min(tile.keys().end, split_start + kAttentionSplitKeys)};
  if (tile.kv.type == KvType::kF32) return attend_pages<float>(tile, keys, scratch, state);
  if (tile.kv.type == KvType::k8) return attend_pages<int8_t>(tile, keys, scratch, state);
  attend_pages<Half>(tile, keys, scratch, state);
}

// With `total` empty this copies `split` exactly; with a row of `split` empty it leaves the row of `total`.
void attention_fold(const KvGeometry& kv, size_t n_rows, AttentionState split, AttentionState total) {
  const Floats d;
  const size_t stride = AttentionState::v_stride(kv), n_columns = round_to_lanes(kv.v_dim);
  HWY_ALIGN float keep[kAttentionTileRows];
  HWY_ALIGN float take[kAttentionTileRows];
  for (size_t row = 0; row < n_rows; row += kLanes) {
    const auto total_max = hn::LoadU(d, total.max + row), split_max = hn::LoadU(d, split.max + row);
    const auto max = hn::Max(total_max, split_max);
    const auto a = exp2_nonpositive(d, hn::Sub(total_max, max));
    const auto b = exp2_nonpositive(d, hn::Sub(split_max, max));
    const auto sum = hn::MulAdd(hn::LoadU(d, split.sum + row), b, hn::Mul(hn::LoadU(d, total.sum + row), a));
    hn::StoreU(max, d, total.max + row);
    hn::StoreU(sum, d, total.sum + row);
    hn::Store(a, d, keep + row);
    hn::Store(b, d, take + row);
  }
  for (size_t row = 0; row < n_rows; ++row) {
    const auto a = hn::Set(d, keep[row]), b = hn::Set(d, take[row]);
    float* to = total.o + row * stride;
    const float* from = split.o + row * stride;
    for (size_t i = 0; i < n_columns; i += kLanes)
      hn::StoreU(hn::MulAdd(hn::LoadU(d, from + i), b, hn::Mul(hn::LoadU(d, to + i), a)), d, to + i);
  }
}

void attention_finish(const AttentionTile& tile, AttentionState total, std::span<const float> sinks,
                      MatView<float> out) {
  const Floats d;
  const size_t v_dim = tile.kv.v_dim, stride = AttentionState::v_stride(tile.kv);
  for (size_t row = 0; row < tile.n_rows; ++row) {
    const size_t head = (tile.first_row + row) % tile.group;
    float factor = 1.0f / total.sum[row];
    if (!sinks.empty()) {
      const auto sink = hn::Set(d, sinks.data()[head] * kLog2E);
      const auto row_max = hn::Set(d, total.max[row]);
      const auto max = hn::Max(sink, row_max);
      const auto keep = exp2_nonpositive(d, hn::Sub(row_max, max));
      const auto sum = hn::MulAdd(hn::Set(d, total.sum[row]), keep, exp2_nonpositive(d, hn::Sub(sink, max)));
      factor = hn::GetLane(hn::Div(keep, sum));
    }
    const auto f = hn::Set(d, factor);
    const float* o = total.o + row * stride;
    float* to = out.data + tile.token(row) * out.stride + head * v_dim;
    size_t i = 0;
    for (; i + kLanes <= v_dim; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, o + i), f), d, to + i);
    if (i < v_dim) store_n(hn::Mul(hn::LoadU(d, o + i), f), d, to + i, v_dim - i);
  }
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {
namespace {

constexpr size_t kCacheLineFloats = 16;

struct ScratchSizes {
  size_t q, scores, k, v;
  explicit ScratchSizes(const KvGeometry& kv)
      : q(kAttentionTileRows * kv.k_dim),
        scores(kAttentionTileRows * kKvPageTokens),
        k(kv.type == KvType::kF32 ? 0 : kv.k_dim * kKvPageTokens),
        v(kKvPageTokens * AttentionState::v_stride(kv)) {}
};

}  // namespace

size_t AttentionScratch::n_floats(const KvGeometry& kv) {
  const ScratchSizes sizes(kv);
  return round_up(sizes.q + sizes.scores + sizes.k + sizes.v, kCacheLineFloats);
}

AttentionScratch AttentionScratch::at(float* memory, const KvGeometry& kv) {
  const ScratchSizes sizes(kv);
  float* scores = memory + sizes.q;
  float* k = scores + sizes.scores;
  return {memory, scores, k, k + sizes.k};
}

void attention_clear(const KvGeometry& kv, size_t n_rows, AttentionState state) {
  const size_t rows = AttentionState::padded_rows(n_rows);
  std::fill_n(state.o, rows * AttentionState::v_stride(kv), 0.0f);
  std::fill_n(state.max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(state.sum, rows, 0.0f);
}

void attention_pack(const AttentionTile& tile, const AttentionScratch& scratch) {
  ATELIER_SIMD(attention_pack)(tile, scratch);
}

void attention_split(const AttentionTile& tile, size_t split, const AttentionScratch& scratch,
                     AttentionState state) {
  ATELIER_SIMD(attention_split)(tile, split, scratch, state);
}

void attention_fold(const KvGeometry& kv, size_t n_rows, AttentionState split, AttentionState total) {
  ATELIER_SIMD(attention_fold)(kv, n_rows, split, total);
}

void attention_finish(const AttentionTile& tile, AttentionState total, std::span<const float> sinks,
                      MatView<float> out) {
  ATELIER_SIMD(attention_finish)(tile, total, sinks, out);
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
