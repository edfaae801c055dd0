// Products of many tokens in bf16 tiles, for processors that have tile instructions (AMX).
//
// matmul.h multiplies integers, whose scales change every 32 columns: each small product has to leave the
// tile unit to be scaled. Here both factors are bf16 and sums stay in the tiles, in float32. Weights of at
// most 8 bits become bf16 as they are unpacked, scale and minimum included.
//
// Numerics: x is rounded to bf16, to nearest even, in one term, or in two, the second for what the first
// leaves. Weights: code · scale + min in float32, rounded to nearest, halves up; MXFP4 and BF16 are exact.
// Then
//   acc = 0; for each block of 32 columns, ascending, for each term of x:
//     even, odd = Σ over its even, odd columns, ascending, from 0   (TDPBF16PS)
//     acc += even + odd
// A row of x has one answer, whatever the other rows, the threads and the sizes of tasks; but not the one
// that matmul.h gives.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/mat_view.h"
#include "kernels/cpu/matmul/packed.h"

namespace atelier {

// Tokens of a tile, and the 16-bit values of one: [16 tokens][32 columns].
inline constexpr size_t kTileTokens = 16;
inline constexpr size_t kTileValues = kTileTokens * kBlockCols;
// A task's bounds. Sums of 512 KiB and 256 columns of x, 256 KiB, stay in L2. Every task reads its tokens' x
// from L3, which for half as many panels takes longer than multiplying.
inline constexpr size_t kTilesTaskTokens = 512;
inline constexpr size_t kTilesTaskPanels = 16;

// Blocks that are walked at a time: a chunk of columns.
inline constexpr size_t kTilesChunkBlocks = 8;

// Activations in bf16, chunk by chunk so that what is read together stands together: [chunks][tiles][blocks
// of the chunk][terms][kTileValues]. Tokens past the last are zero.
struct TileActivations {
  const uint16_t* x = nullptr;
  size_t n_tokens = 0;
  size_t n_blocks = 0;
  size_t terms = 1;

  size_t n_tiles() const { return (n_tokens + kTileTokens - 1) / kTileTokens; }
  size_t n_values() const { return n_tiles() * n_blocks * terms * kTileValues; }
  size_t chunk_blocks(size_t first_block) const {
    return std::min(kTilesChunkBlocks, n_blocks - first_block);
  }
  // Where a tile's share of the chunk from first_block on stands.
  size_t offset(size_t first_block, size_t tile) const {
    return (first_block * n_tiles() + tile * chunk_blocks(first_block)) * terms * kTileValues;
  }
};

// Panels [first_panel, + n_panels) × tiles [first_tile, + n_tiles); both within a task's bounds.
struct TilesTask {
  const PackedWeight* weight = nullptr;
  size_t first_panel = 0, n_panels = 0;
  size_t first_tile = 0, n_tiles = 0;
};

// acc = the products: [pairs of panels][n_tiles · 16][32]; of an odd last panel's pair the upper 16 are junk.
// `scratch`: kTilesScratchBytes, 64-byte aligned.
using MultiplyTiles = void (*)(const TilesTask& task, const TileActivations& x, float* acc, uint8_t* scratch);
inline constexpr size_t kTilesAccFloats = kTilesTaskPanels / 2 * kTilesTaskTokens * 2 * kPanelRows;

// A chunk of a pair of panels in bf16.
inline constexpr size_t kTilesScratchBytes = 2 * kTilesChunkBlocks * kTileValues * 2;

struct TileKernels {
  // Rounds blocks [first, last) of rows[0 … n), n ≤ 16, in `terms` terms: tile:
  // [n_blocks][terms][kTileValues].
  void (*round)(std::span<const float* const> rows, size_t first, size_t last, size_t terms,
                uint16_t* tile) = nullptr;
  std::array<MultiplyTiles, kPackedLayouts> multiply{};  // null: the layout has none
};

// out[token, row] = the task's products (+ bias) for its tokens and rows. weight: [N, K]; bias: [N] or empty;
// out: [M, N]. `scratch`: tiles_scratch_floats(), 64-byte aligned.
void multiply_tiles(const TileKernels& kernels, const TilesTask& task, const TileActivations& x,
                    std::span<const float> bias, MatView<float> out, float* scratch);
constexpr size_t tiles_scratch_floats() { return kTilesAccFloats + kTilesScratchBytes / sizeof(float); }

// Terms x takes with weights of this layout: two where they have more than 8 bits.
constexpr size_t tile_terms(PackedLayout layout) { return packed_layout_info(layout).is_float() ? 2 : 1; }

}  // namespace atelier
