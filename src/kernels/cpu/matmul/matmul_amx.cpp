// The matrix kernels for AMX: tiles of 16 tokens × 16 rows for many tokens, AVX-512 VNNI for few.
//
// One tile product multiplies 16 tokens by 16 rows over one granule of columns: the eight unpacked vectors of
// a block are a B tile as they stand, 16 tokens of a quantised tile an A tile. Scales differ from granule to
// granule, so each product of integers goes through memory (L1) to vector registers, where it is scaled and
// added to the sums: that, about 24 cycles of two vector ports and 29 of two load ports per tile, is the
// limit, not the tile unit's 16.
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                                            \
    __attribute__((                                                                                      \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c,amx-tile,amx-int8"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c,amx-tile,amx-int8")
#endif

namespace atelier::matmul_amx {
namespace {

constexpr int kTokensInRegisters = 8;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_avx512-inl.h"

#include "kernels/cpu/matmul/quant-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

// Operand of LDTILECFG (Intel SDM, volume 1, 18.3).
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Registers 0 and 1 take the products, 2 and 3 the activations, 4 and 5 the weights.
template <int kGranules>
void enter() {
  constexpr int kCols = 32 / kGranules;
  TileConfig config;
  for (int i = 0; i < 2; ++i) {
    config.rows[i] = config.rows[2 + i] = 16;
    config.rows[4 + i] = kCols / 4;
    config.row_bytes[i] = config.row_bytes[4 + i] = 64;
    config.row_bytes[2 + i] = kCols;
  }
  _tile_loadconfig(&config);
}
// Released at the end of a task: a thread with live tiles costs 8 KiB at each context switch and keeps the
// core out of its deeper idle states.
void leave() { _tile_release(); }

// Integer products of granule `i` of the blocks, into `products` [16 tokens][16 rows].
template <int kGranules, int kSlot>
ATELIER_INLINE void multiply_tile(const uint8_t* w, const int8_t* codes, int32_t* products) {
  if constexpr (kSlot == 0) {  // GCC's intrinsics take register numbers as literals only
    _tile_zero(0);
    _tile_loadd(2, codes, 32);
    _tile_loadd(4, w, 64);
    _tile_dpbssd(0, 2, 4);
    _tile_stored(0, products, 64);
  } else {
    _tile_zero(1);
    _tile_loadd(3, codes, 32);
    _tile_loadd(5, w, 64);
    _tile_dpbssd(1, 3, 5);
    _tile_stored(1, products, 64);
  }
}

template <bool kHasMin, int kTokens>
ATELIER_INLINE void add_products(Floats (&acc)[kTokens], const int32_t* products, const float* a_scales,
                                 const int32_t* aux, const float* scales, const float* mins) {
  const Floats scale = load_floats(scales);
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    const Ints sum = _mm512_load_si512(products + 16 * t);
    acc[t] = multiply_add(multiply(to_floats(sum), scale), set_floats(a_scales[t]), acc[t]);
  }
  if constexpr (kHasMin) {
    const Floats min = load_floats(mins);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      float a_sum;
      __builtin_memcpy(&a_sum, &aux[t], 4);
      acc[t] = multiply_add(min, set_floats(a_sum), acc[t]);
    }
  }
}

// Codes of layouts with minima have no zero point; the others are unpacked less their zero point, so that
// both are signed. Products of one granule are computed while those of the one before are added up.
template <bool kHasMin, int kGranules, int kTokens>
void multiply_tiles(const UnpackedBlocks& blocks, const QuantArgs& x, float* out) {
  constexpr size_t kGranuleBytes = 512 / kGranules;  // of the weights; of one token 32 / kGranules
  alignas(64) int32_t products[2][256];
  Floats acc[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) acc[t] = load_floats(out + 16 * t);
  const size_t n = x.n_blocks * kGranules;
  const auto codes = [&](size_t i) {
    return x.codes + i / kGranules * 32 * kTokenTile + i % kGranules * (32 / kGranules);
  };
  const auto add = [&](size_t i) {
    add_products<kHasMin, kTokens>(acc, products[i % 2], x.scales + i / kGranules * kTokenTile,
                                   x.aux + i * kTokenTile, blocks.scales + 16 * i, blocks.mins + 16 * i);
  };
  for (size_t i = 0; i < n; i += 2) {
    multiply_tile<kGranules, 0>(blocks.codes + i * kGranuleBytes, codes(i), products[0]);
    if (i > 0) add(i - 1);
    if (i + 1 < n)
      multiply_tile<kGranules, 1>(blocks.codes + (i + 1) * kGranuleBytes, codes(i + 1), products[1]);
    add(i);
  }
  if (n % 2 == 0) add(n - 1);
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) store_floats(out + 16 * t, acc[t]);
}

template <PackedLayout kLayout>
void set_amx(MatmulKernels& kernels) {
  using Q = Quant<kLayout>;
  QuantKernels& k = kernels.quant[static_cast<size_t>(kLayout)];
  k.unpack = unpack<kLayout, true>;
  k.multiply_unpacked = {
      multiply_tiles<Q::kHasMin, Q::kGranules, 1>,  multiply_tiles<Q::kHasMin, Q::kGranules, 2>,
      multiply_tiles<Q::kHasMin, Q::kGranules, 4>,  multiply_tiles<Q::kHasMin, Q::kGranules, 8>,
      multiply_tiles<Q::kHasMin, Q::kGranules, 16>,
  };
  k.multiply_joint = nullptr;
  k.enter = enter<Q::kGranules>;
  k.leave = leave;
}

}  // namespace

void fill(MatmulKernels& kernels) {
  for_each_quant_layout([&]<PackedLayout kLayout>() { set_amx<kLayout>(kernels); });
  set_rows<true>(kernels);
}

}  // namespace atelier::matmul_amx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
