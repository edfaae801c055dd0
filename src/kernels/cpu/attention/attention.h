// Attention of a tile of query rows over the paged keys and values of one kv head, on one thread.
// docs/kernels/attention.md explains the shape of the computation and its limits.
//
// The arithmetic of a query row is fixed by its position alone. Keys are taken in splits of
// kAttentionSplitKeys, counted from position 0; within a split page after page by online softmax, within a
// page position after position; the splits' results are folded in order. Neither the other rows of a tile nor
// the thread that computes a split can change a bit of it.
#pragma once

#include <cstddef>
#include <span>

#include "base/mat_view.h"
#include "kernels/kv_page.h"

namespace atelier::kernels {

// Enough rows to amortise the conversion of a page to float32; 32 panels of 6.
inline constexpr size_t kAttentionTileRows = 192;
// Small enough to keep several cores busy at short contexts; folding costs 1/256 of the value products.
inline constexpr size_t kAttentionSplitKeys = 4 * kKvPageTokens;

// Positions [first, end).
struct KeyRange {
  size_t first = 0;
  size_t end = 0;
};

// What a query at `position` sees: itself and what precedes it, `window` keys in all if window > 0.
inline KeyRange visible_keys(size_t position, size_t window) {
  const size_t end = position + 1;
  return {window != 0 && end > window ? end - window : 0, end};
}

// Row r of a tile is query head (first_row + r) % group of the kv head's group, of new token (first_row + r)
// / group.
struct AttentionTile {
  KvGeometry kv;
  size_t kv_head = 0;
  std::span<std::byte* const>
      pages;  // pages[i] holds positions [64·(first_page + i), 64·(first_page + i + 1))
  size_t first_page = 0;
  size_t group = 1;           // query heads per kv head
  MatView<const float> q;     // [new tokens, group · k_dim]: this kv head's queries
  size_t first_position = 0;  // of row 0 of q
  size_t first_row = 0;
  size_t n_rows = 0;  // ≤ kAttentionTileRows
  float scale = 1.0f;
  float softcap = 0.0f;  // 0: off
  size_t window = 0;     // 0: off

  size_t token(size_t row) const { return (first_row + row) / group; }
  KeyRange keys(size_t row) const { return visible_keys(first_position + token(row), window); }
  // All keys that some row sees; every one of them has been written.
  KeyRange keys() const { return {keys(0).first, keys(n_rows - 1).end}; }
};

// Online softmax of a tile's rows over some keys: o = Σ 2^(s − max) · v, sum = Σ 2^(s − max), s in units of
// log2. A row that has seen no key has max = −∞, sum = 0, o = 0.
struct AttentionState {
  float* o = nullptr;    // [padded_rows, v_stride]
  float* max = nullptr;  // [padded_rows]
  float* sum = nullptr;  // [padded_rows]

  static size_t v_stride(const KvGeometry& kv) { return (kv.v_dim + 15) / 16 * 16; }
  // Rows are computed in panels, which may reach up to 5 rows past the last one.
  static size_t padded_rows(size_t n_rows) { return (n_rows + 5 + 15) / 16 * 16; }
  static size_t n_floats(const KvGeometry& kv, size_t n_rows) {
    return padded_rows(n_rows) * (v_stride(kv) + 2);
  }
  static AttentionState at(float* memory, const KvGeometry& kv, size_t n_rows) {
    float* max = memory + padded_rows(n_rows) * v_stride(kv);
    return {memory, max, max + padded_rows(n_rows)};
  }
};

// Working memory of one thread.
struct AttentionScratch {
  float* q = nullptr;       // queries of the tile, scaled: [kAttentionTileRows][k_dim]
  float* scores = nullptr;  // [kAttentionTileRows][kKvPageTokens]
  float* k = nullptr;       // a page's keys in float32: [k_dim][kKvPageTokens]
  float* v = nullptr;       // a page's values: [kKvPageTokens][v_stride]

  static size_t n_floats(const KvGeometry& kv);
  static AttentionScratch at(float* memory, const KvGeometry& kv);
};

// Brings the tile's queries into scratch.q; before attention_split.
void attention_pack(const AttentionTile& tile, const AttentionScratch& scratch);

// The tile's rows over the keys of one split, number `split`, into `state`.
void attention_split(const AttentionTile& tile, size_t split, const AttentionScratch& scratch,
                     AttentionState state);

// Empties `state` of n_rows rows.
void attention_clear(const KvGeometry& kv, size_t n_rows, AttentionState state);
// Adds the next split's state to `total`.
void attention_fold(const KvGeometry& kv, size_t n_rows, AttentionState split, AttentionState total);

// Divides by the softmax's denominator, in which sinks ([group] or empty) join. out: [new tokens, group ·
// v_dim].
void attention_finish(const AttentionTile& tile, AttentionState total, std::span<const float> sinks,
                      MatView<float> out);

// The whole of it in scalar double arithmetic. scores: room for the keys of any one row.
void attention_ref(const AttentionTile& tile, std::span<const float> sinks, std::span<double> scores,
                   MatView<float> out);

}  // namespace atelier::kernels
