// Products of many tokens in bf16 tiles: AMX. Contract: tiles.h.
//
// Two panels (32 rows of weights) meet 32 tokens at a time: 4 tile loads and 4 products a block, 64 cycles of
// the tile unit. A chunk of columns of both panels is unpacked into L1 and meets all tokens there.
#include "kernels/cpu/matmul/tiles.h"

#include <algorithm>

#include "base/checked.h"
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                                             \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512bf16,fma,f16c," \
                          "amx-tile,amx-int8,amx-bf16"))),                                                \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512bf16,fma,f16c")
#pragma GCC target("amx-tile,amx-int8,amx-bf16")
#endif

namespace atelier::tiles_amx {
namespace {

constexpr int kTokensInRegisters = 8;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_avx512-inl.h"

#include "kernels/cpu/matmul/quant-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

#include "kernels/cpu/matmul/bf16_blocks-inl.h"

constexpr size_t kTileBytes = 2 * kTileValues;
constexpr size_t kPairFloats = 2 * kPanelRows;  // of one token's sums with a pair of panels
constexpr long kSumStride = kPairFloats * 4;
static_assert(kTileBytes == 1024);

// Operand of LDTILECFG (Intel SDM, volume 1, 18.3). All eight registers are 16 rows of 64 bytes: 0 to 3 take
// the sums, 4 and 5 tokens, 6 and 7 weights.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
// Tiles are released at the end of a task: a thread with live ones costs 8 KiB at each context switch and
// keeps the core out of its deeper idle states.
class TileScope {
 public:
  TileScope() {
    TileConfig config;
    std::fill_n(config.row_bytes, 8, uint16_t{64});
    std::fill_n(config.rows, 8, uint8_t{16});
    _tile_loadconfig(&config);
  }
  ~TileScope() { _tile_release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

// A chunk of columns of one pair of panels. A task's chunks are walked pair by pair where all of x stays in
// L2, else column by column.
struct Chunk {
  size_t pair = 0, first_block = 0, n_blocks = 0;
};
class Chunks {
 public:
  Chunks(const TilesTask& task, const TileActivations& x)
      : n_blocks_(x.n_blocks),
        n_pairs_(ceil_div<size_t>(task.n_panels, 2)),
        n_steps_(ceil_div(x.n_blocks, kTilesChunkBlocks)),
        by_pair_(task.n_tiles * x.n_blocks * x.terms * kTileBytes <= kStaysInL2) {}
  size_t size() const { return n_pairs_ * n_steps_; }
  Chunk operator[](size_t i) const {
    const size_t pair = by_pair_ ? i / n_steps_ : i % n_pairs_;
    const size_t first = (by_pair_ ? i % n_steps_ : i / n_pairs_) * kTilesChunkBlocks;
    return {pair, first, std::min(kTilesChunkBlocks, n_blocks_ - first)};
  }

 private:
  static constexpr size_t kStaysInL2 = size_t{1} << 20;
  size_t n_blocks_, n_pairs_, n_steps_;
  bool by_pair_;
};

// A chunk of a panel as tile operands, one after the other.
template <class Blocks>
void unpack_chunk(const PackedWeight& weight, size_t panel, const Chunk& chunk, uint8_t* out) {
  Blocks blocks(weight, panel, chunk.first_block);
  for (size_t b = 0; b < chunk.n_blocks; ++b) blocks.unpack_next(out + b * kTileBytes);
}

// Asks for what unpacking a pair's chunk will read, while another is multiplied.
template <class Blocks>
void prefetch_chunk(const TilesTask& task, const Chunk& chunk) {
  const size_t first = 2 * chunk.pair;
  for (size_t p = first; p < std::min(first + 2, task.n_panels); ++p)
    Blocks::prefetch(*task.weight, task.first_panel + p, chunk.first_block, chunk.n_blocks);
}

// Sums of 16 · kTiles tokens with a pair of panels, in tile registers.
template <int kTiles>
ATELIER_INLINE void load_sums(bool first, const float* acc) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTiles == 2) {
      _tile_zero(2);
      _tile_zero(3);
    }
    return;
  }
  _tile_loadd(0, acc, kSumStride);
  _tile_loadd(1, acc + kPanelRows, kSumStride);
  if constexpr (kTiles == 2) {
    _tile_loadd(2, acc + kTileTokens * kPairFloats, kSumStride);
    _tile_loadd(3, acc + kTileTokens * kPairFloats + kPanelRows, kSumStride);
  }
}
template <int kTiles>
ATELIER_INLINE void store_sums(float* acc) {
  _tile_stored(0, acc, kSumStride);
  _tile_stored(1, acc + kPanelRows, kSumStride);
  if constexpr (kTiles == 2) {
    _tile_stored(2, acc + kTileTokens * kPairFloats, kSumStride);
    _tile_stored(3, acc + kTileTokens * kPairFloats + kPanelRows, kSumStride);
  }
}

// sums of 16 · kTiles tokens += their `n_blocks` blocks · the chunk's. `next_tile`: values from one tile of x
// to the next.
template <int kTiles, int kTerms>
ATELIER_INLINE void multiply_blocks(const uint16_t* x, size_t next_tile, const uint8_t* first_panel,
                                    const uint8_t* second_panel, size_t n_blocks) {
  for (size_t b = 0; b < n_blocks; ++b) {
#pragma GCC unroll 2
    for (int term = 0; term < kTerms; ++term) {
      _tile_loadd(4, x, 64);
      if (term == 0) _tile_loadd(6, first_panel, 64);
      _tile_dpbf16ps(0, 4, 6);
      if (term == 0) _tile_loadd(7, second_panel, 64);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kTiles == 2) {
        _tile_loadd(5, x + next_tile, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      x += kTileValues;
    }
    first_panel += kTileBytes;
    second_panel += kTileBytes;
  }
}

// sums[tokens][32] += all tiles' share of the chunk · its pair of panels.
template <int kTerms>
void multiply_chunk(const TilesTask& task, const TileActivations& x, const Chunk& chunk,
                    const uint8_t* first_panel, const uint8_t* second_panel, float* sums) {
  const uint16_t* tokens = x.x + x.offset(chunk.first_block, task.first_tile);
  const size_t next_tile = chunk.n_blocks * kTerms * kTileValues;
  for (size_t t = 0; t < task.n_tiles; t += 2) {
    if (t + 1 < task.n_tiles) {
      load_sums<2>(chunk.first_block == 0, sums);
      multiply_blocks<2, kTerms>(tokens, next_tile, first_panel, second_panel, chunk.n_blocks);
      store_sums<2>(sums);
    } else {
      load_sums<1>(chunk.first_block == 0, sums);
      multiply_blocks<1, kTerms>(tokens, 0, first_panel, second_panel, chunk.n_blocks);
      store_sums<1>(sums);
    }
    tokens += 2 * next_tile;
    sums += 2 * kTileTokens * kPairFloats;
  }
}

template <class Blocks, int kTerms>
void multiply_tiles(const TilesTask& task, const TileActivations& x, float* acc, uint8_t* scratch) {
  const TileScope tiles;
  const Chunks chunks(task, x);
  for (size_t i = 0; i < chunks.size(); ++i) {
    const Chunk chunk = chunks[i];
    const uint8_t* operands[2];
    for (size_t j = 0; j < 2; ++j) {
      const size_t panel =
          std::min(2 * chunk.pair + j, task.n_panels - 1);  // an odd last one is its own partner
      if constexpr (Blocks::kInPlace) {
        operands[j] = Blocks::block(*task.weight, task.first_panel + panel, chunk.first_block);
      } else {
        uint8_t* unpacked = scratch + j * kTilesChunkBlocks * kTileBytes;
        operands[j] = unpacked;
        if (panel == 2 * chunk.pair + j)
          unpack_chunk<Blocks>(*task.weight, task.first_panel + panel, chunk, unpacked);
      }
    }
    if constexpr (!Blocks::kInPlace) {
      if (i + 1 < chunks.size()) prefetch_chunk<Blocks>(task, chunks[i + 1]);
    }
    float* sums = acc + chunk.pair * task.n_tiles * kTileTokens * kPairFloats;
    multiply_chunk<kTerms>(task, x, chunk, operands[0], operands[1], sums);
  }
}

ATELIER_INLINE Floats widen(__m256i bf16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

void round_tile(std::span<const float* const> rows, size_t first, size_t n_blocks, size_t terms,
                uint16_t* out) {
  for (size_t b = 0; b < n_blocks; ++b, out += (terms - 1) * kTileValues) {
    for (size_t t = 0; t < kTileTokens; ++t, out += kBlockCols) {
      if (t >= rows.size()) {
        for (size_t term = 0; term < terms; ++term)
          _mm512_store_si512(out + term * kTileValues, _mm512_setzero_si512());
        continue;
      }
      Floats low = load_floats(rows[t] + first + 32 * b), high = load_floats(rows[t] + first + 32 * b + 16);
      for (size_t term = 0; term < terms; ++term) {
        const __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm512_store_si512(out + term * kTileValues, rounded);
        if (term + 1 == terms) break;
        low = _mm512_sub_ps(low, widen(_mm512_castsi512_si256(rounded)));
        high = _mm512_sub_ps(high, widen(_mm512_extracti64x4_epi64(rounded, 1)));
      }
    }
  }
}

template <PackedLayout kLayout>
void set_packed(TileKernels& kernels) {
  kernels.multiply[static_cast<size_t>(kLayout)] = multiply_tiles<PackedBlocks<kLayout>, tile_terms(kLayout)>;
}

}  // namespace

void fill(TileKernels& kernels) {
  using enum PackedLayout;
  kernels.round = round_tile;
  set_packed<kNibF16>(kernels);
  set_packed<kNibF16Min>(kernels);
  set_packed<kNibK>(kernels);
  set_packed<kNibKMin>(kernels);
  set_packed<kNibK16>(kernels);
  set_packed<kNibK16Min>(kernels);
  set_packed<kFiveF16>(kernels);
  set_packed<kFiveF16Min>(kernels);
  set_packed<kFiveKMin>(kernels);
  set_packed<kSixK16>(kernels);
  set_packed<kByteF16>(kernels);
  const auto at = [&](PackedLayout layout) -> MultiplyTiles& {
    return kernels.multiply[static_cast<size_t>(layout)];
  };
  at(kNibE8M0) = at(kRowsE8M0) = multiply_tiles<Mxfp4Blocks<false>, tile_terms(kNibE8M0)>;
  at(kRowsE8M0Pairs) = multiply_tiles<Mxfp4Blocks<true>, tile_terms(kNibE8M0)>;
  at(kRowsByteF16) = multiply_tiles<ByteBlocks, tile_terms(kByteF16)>;
  at(kBF16) = multiply_tiles<Bf16Blocks, tile_terms(kBF16)>;
}

}  // namespace atelier::tiles_amx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
