// The two matrix products of attention over one page: scores = Q · K and O += P · V, for a panel of 1 to 8
// rows. No include guard: hwy/foreach_target.h brings this in once per target, after simd-inl.h.
#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>

#include "kernels/kv_page.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

// A product of R rows and V vectors holds R · V accumulators, V vectors of K or V and one broadcast. 6 rows
// of 4 vectors (32 registers) or of 2 (16 registers) load least per multiply-add; a tile of one panel takes 7
// or 8 rows too rather than read the page twice.
constexpr size_t kRegisters = kManyRegisters ? 32 : 16;
constexpr size_t kPanelRows = 6;
constexpr size_t kMaxPanelRows = kManyRegisters ? 8 : 6;
constexpr size_t kPageVecs = kKvPageTokens / kLanes;

// Vectors per row: as many as the registers allow.
constexpr size_t panel_vecs(size_t rows, size_t limit) {
  return std::min(limit, std::bit_floor((kRegisters - 1) / (rows + 1)));
}

using Half = hwy::float16_t;
HWY_INLINE VecF load_floats(Floats d, const float* p) { return hn::LoadU(d, p); }
HWY_INLINE VecF load_floats(Floats d, const Half* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Half, Floats>(), p));
}

HWY_INLINE VecF load_floats(Floats d, const int8_t* p) {
  return hn::ConvertTo(
      d, hn::PromoteTo(hn::Rebind<int32_t, Floats>(), hn::LoadU(hn::Rebind<int8_t, Floats>(), p)));
}
static_assert(kKvBlock % kLanes == 0);  // a vector of 8-bit elements has one scale

// Elements before which scales change: never, where there are none.
template <class T>
constexpr size_t kScaledElems = std::is_same_v<T, int8_t> ? kKvBlock : SIZE_MAX;

// n (a multiple of kLanes) consecutive elements to float32.
template <class T>
HWY_INLINE void convert(const T* from, float* to, size_t n) {
  const Floats d;
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(load_floats(d, from + i), d, to + i);
}

// 8-bit keys [k_dim][kKvPageTokens] with their scales [k_blocks][kKvPageTokens] to float32.
HWY_INLINE void convert_keys(const int8_t* from, const float* scales, size_t k_dim, float* to) {
  const Floats d;
  for (size_t i = 0; i < k_dim; ++i)
    for (size_t p = 0; p < kKvPageTokens; p += kLanes) {
      const VecF scale = hn::LoadU(d, scales + i / kKvBlock * kKvPageTokens + p);
      hn::StoreU(hn::Mul(load_floats(d, from + i * kKvPageTokens + p), scale), d, to + i * kKvPageTokens + p);
    }
}

// Rows [lo, hi) of a page's values to float32 rows of v_stride, zeros after v_dim.
template <class T>
HWY_INLINE void convert_values(const T* from, size_t v_dim, size_t lo, size_t hi, float* to,
                               size_t v_stride) {
  const size_t whole = v_dim / kLanes * kLanes;
  for (size_t p = lo; p < hi; ++p) {
    convert(from + p * v_dim, to + p * v_stride, whole);
    if (whole == v_dim) continue;
    T rest[kLanes] = {};
    std::memcpy(rest, from + p * v_dim + whole, (v_dim - whole) * sizeof(T));
    convert(rest, to + p * v_stride + whole, kLanes);
  }
}

// 8-bit values after conversion, before their scales: rows [lo, hi) of `to`.
HWY_INLINE void scale_values(const float* scales, size_t n_blocks, size_t lo, size_t hi, float* to,
                             size_t v_stride) {
  const Floats d;
  for (size_t p = lo; p < hi; ++p)
    for (size_t i = 0; i < v_stride && i / kKvBlock < n_blocks; i += kLanes) {
      float* at = to + p * v_stride + i;
      hn::StoreU(hn::Mul(hn::LoadU(d, at), hn::Set(d, scales[p * n_blocks + i / kKvBlock])), d, at);
    }
}

// scores[r][p] = Σ_d q[r][d] · k[d][p], d ascending, for the positions of the vectors [first_vec, end_vec).
// q: [R][k_dim]; k: [k_dim][kKvPageTokens], times scales [k_blocks][kKvPageTokens] in 8 bits; scores:
// [R][kKvPageTokens].
template <size_t R, class T>
void panel_scores(const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, const float* HWY_RESTRICT scales,
                  size_t k_dim, size_t first_vec, size_t end_vec, float* HWY_RESTRICT scores) {
  constexpr bool kScaled = std::is_same_v<T, int8_t>;
  constexpr size_t V = panel_vecs(R, kPageVecs);
  const Floats d;
  const float* HWY_RESTRICT queries[R];
  ATELIER_UNROLL
  for (size_t r = 0; r < R; ++r) queries[r] = q + r * k_dim;
  for (size_t block = first_vec / V * V; block < end_vec; block += V) {
    VecF acc[R][V];
    ATELIER_UNROLL
    for (size_t r = 0; r < R; ++r) {
      ATELIER_UNROLL
      for (size_t j = 0; j < V; ++j) acc[r][j] = hn::Zero(d);
    }
    const T* key = k + block * kLanes;
    for (size_t i = 0; i < k_dim;) {
      const size_t end = i + std::min(kScaledElems<T>, k_dim - i);
      VecF scale[V];
      if constexpr (kScaled) {
        ATELIER_UNROLL
        for (size_t j = 0; j < V; ++j)
          scale[j] = hn::LoadU(d, scales + i / kKvBlock * kKvPageTokens + (block + j) * kLanes);
      }
      ATELIER_UNROLL_4
      for (; i < end; ++i) {
        VecF keys[V];
        ATELIER_UNROLL
        for (size_t j = 0; j < V; ++j) {
          keys[j] = load_floats(d, key + i * kKvPageTokens + j * kLanes);
          if constexpr (kScaled) keys[j] = hn::Mul(keys[j], scale[j]);
        }
        ATELIER_UNROLL
        for (size_t r = 0; r < R; ++r) {
          const VecF query = hn::Set(d, queries[r][i]);
          ATELIER_UNROLL
          for (size_t j = 0; j < V; ++j) acc[r][j] = hn::MulAdd(query, keys[j], acc[r][j]);
        }
      }
    }
    ATELIER_UNROLL
    for (size_t r = 0; r < R; ++r) {
      ATELIER_UNROLL
      for (size_t j = 0; j < V; ++j)
        hn::StoreU(acc[r][j], d, scores + r * kKvPageTokens + (block + j) * kLanes);
    }
  }
}

// What the value product of a panel works on.
template <class T>
struct ValueBlock {
  const float* p;           // [R][kKvPageTokens]
  size_t lo, hi;            // positions to add
  const float* correction;  // [R]
  const T* v;               // [kKvPageTokens][v_stride]
  const float* scales;      // of 8 bits: [kKvPageTokens][n_blocks]
  size_t v_stride, n_blocks;
  float* o;  // [R][o_stride]
  size_t o_stride;
};

// o[r][c] = o[r][c] · correction[r], then += p[r][t] · v[t][c], t ascending, for V vectors of columns.
template <size_t R, size_t V, class T>
HWY_INLINE void value_columns(const ValueBlock<T>& block, size_t column) {
  const Floats d;
  VecF acc[R][V];
  ATELIER_UNROLL
  for (size_t r = 0; r < R; ++r) {
    const VecF correction = hn::Set(d, block.correction[r]);
    ATELIER_UNROLL
    for (size_t j = 0; j < V; ++j)
      acc[r][j] = hn::Mul(hn::LoadU(d, block.o + r * block.o_stride + column + j * kLanes), correction);
  }
  const float* HWY_RESTRICT p = block.p;
  ATELIER_UNROLL_4
  for (size_t t = block.lo; t < block.hi; ++t) {
    const T* HWY_RESTRICT row = block.v + t * block.v_stride + column;
    VecF values[V];
    ATELIER_UNROLL
    for (size_t j = 0; j < V; ++j) {
      values[j] = load_floats(d, row + j * kLanes);
      if constexpr (std::is_same_v<T, int8_t>)
        values[j] = hn::Mul(values[j],
                            hn::Set(d, block.scales[t * block.n_blocks + (column + j * kLanes) / kKvBlock]));
    }
    ATELIER_UNROLL
    for (size_t r = 0; r < R; ++r) {
      const VecF weight = hn::Set(d, p[r * kKvPageTokens + t]);
      ATELIER_UNROLL
      for (size_t j = 0; j < V; ++j) acc[r][j] = hn::MulAdd(weight, values[j], acc[r][j]);
    }
  }
  ATELIER_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATELIER_UNROLL
    for (size_t j = 0; j < V; ++j)
      hn::StoreU(acc[r][j], d, block.o + r * block.o_stride + column + j * kLanes);
  }
}

// Columns [column, end), a multiple of kLanes wide, in blocks of V vectors, then of V/2, …
template <size_t R, size_t V, class T>
HWY_INLINE void value_column_blocks(const ValueBlock<T>& block, size_t column, size_t end) {
  for (; column + V * kLanes <= end; column += V * kLanes) value_columns<R, V>(block, column);
  if constexpr (V > 1) value_column_blocks<R, V / 2>(block, column, end);
}

template <size_t R, class T>
void panel_values(const ValueBlock<T>& block, size_t n_columns) {
  value_column_blocks<R, panel_vecs(R, 8)>(block, 0, n_columns);
}

// One entry per number of rows; entry 0 is unused.
template <class T>
struct PanelProducts {
  using Scores = void (*)(const float*, const T*, const float*, size_t, size_t, size_t, float*);
  using Values = void (*)(const ValueBlock<T>&, size_t);
#define ATELIER_PANEL_ROWS(f) \
  {nullptr, f<1, T>, f<2, T>, f<3, T>, f<4, T>, f<5, T>, f<6, T>, f<7, T>, f<8, T>}
#define ATELIER_FEW_PANEL_ROWS(f) {nullptr, f<1, T>, f<2, T>, f<3, T>, f<4, T>, f<5, T>, f<6, T>}
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
  static constexpr Scores kScores[] = ATELIER_PANEL_ROWS(panel_scores);
  static constexpr Values kValues[] = ATELIER_PANEL_ROWS(panel_values);
#else
  static constexpr Scores kScores[] = ATELIER_FEW_PANEL_ROWS(panel_scores);
  static constexpr Values kValues[] = ATELIER_FEW_PANEL_ROWS(panel_values);
#endif
#undef ATELIER_PANEL_ROWS
#undef ATELIER_FEW_PANEL_ROWS
};

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
