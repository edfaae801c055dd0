// The vectors the matrix kernels are written in, for AVX2 with FMA and F16C: two registers each.
// Included inside a target region and namespace; see lanes_generic-inl.h for what each function means.

struct Bytes {
  __m256i lo, hi;
};
struct Ints {
  __m256i lo, hi;
};
struct Floats {
  __m256 lo, hi;
};
using Table = __m256i;

ATELIER_INLINE __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
ATELIER_INLINE __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
ATELIER_INLINE __m128i load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

ATELIER_INLINE Bytes load_bytes(const uint8_t* p) { return {load32(p), load32(p + 32)}; }
ATELIER_INLINE void store_bytes(uint8_t* p, Bytes v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), v.hi);
}

ATELIER_INLINE Table load_table(const uint8_t* p) { return _mm256_broadcastsi128_si256(load16(p)); }
ATELIER_INLINE Bytes look_up_low(Bytes v, Table table) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_shuffle_epi8(table, _mm256_and_si256(v.lo, mask)),
          _mm256_shuffle_epi8(table, _mm256_and_si256(v.hi, mask))};
}
ATELIER_INLINE Bytes look_up_high(Bytes v, Table table) {
  return look_up_low({_mm256_srli_epi16(v.lo, 4), _mm256_srli_epi16(v.hi, 4)}, table);
}

template <int kLeft>
ATELIER_INLINE __m256i shift_bits(__m256i v) {
  if constexpr (kLeft >= 0)
    return _mm256_slli_epi16(v, kLeft);
  else
    return _mm256_srli_epi16(v, -kLeft);
}
template <int kLeft, int kMask>
ATELIER_INLINE Bytes or_shifted(Bytes w, Bytes bits) {
  const __m256i mask = _mm256_set1_epi8(kMask);
  return {_mm256_or_si256(w.lo, _mm256_and_si256(shift_bits<kLeft>(bits.lo), mask)),
          _mm256_or_si256(w.hi, _mm256_and_si256(shift_bits<kLeft>(bits.hi), mask))};
}
template <int kBit>
ATELIER_INLINE Bytes or_fifth_bit(Bytes w, Bytes bits) {
  return or_shifted<4 - kBit, 0x10>(w, bits);
}
template <int kPair>
ATELIER_INLINE Bytes or_upper_bits(Bytes w, Bytes bits) {
  return or_shifted<4 - 2 * kPair, 0x30>(w, bits);
}

ATELIER_INLINE Bytes subtract_bytes(Bytes w, uint8_t v) {
  const __m256i all = _mm256_set1_epi8(static_cast<char>(v));
  return {_mm256_sub_epi8(w.lo, all), _mm256_sub_epi8(w.hi, all)};
}

ATELIER_INLINE Ints set_ints(int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }

// vpmaddubsw adds two products in 16 bits: 2 · 128 · 127 = 32,512 is the most that fits. Larger codes are
// multiplied in 16 bits, even and odd bytes apart.
ATELIER_INLINE __m256i dot_narrow(__m256i sum, __m256i w, __m256i a) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)));
}
ATELIER_INLINE __m256i dot_wide(__m256i sum, __m256i w, __m256i a) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(a, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
template <bool kWide>
ATELIER_INLINE Ints dot(Ints sum, Bytes w, const int8_t* four) {
  int32_t quad;
  __builtin_memcpy(&quad, four, 4);
  const __m256i a = _mm256_set1_epi32(quad);
  if constexpr (kWide) return {dot_wide(sum.lo, w.lo, a), dot_wide(sum.hi, w.hi, a)};
  return {dot_narrow(sum.lo, w.lo, a), dot_narrow(sum.hi, w.hi, a)};
}
ATELIER_INLINE Ints add_ints(Ints a, Ints b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
ATELIER_INLINE Floats to_floats(Ints v) { return {_mm256_cvtepi32_ps(v.lo), _mm256_cvtepi32_ps(v.hi)}; }

ATELIER_INLINE Floats set_floats(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
ATELIER_INLINE Floats load_floats(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
ATELIER_INLINE void store_floats(float* p, Floats v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
ATELIER_INLINE Floats multiply(Floats a, Floats b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
ATELIER_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
ATELIER_INLINE Floats add(Floats a, Floats b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

ATELIER_INLINE Floats load_f16(const uint8_t* p) {
  return {_mm256_cvtph_ps(load16(p)), _mm256_cvtph_ps(load16(p + 16))};
}
ATELIER_INLINE Floats load_f8(const uint8_t* p) {
  const __m256i words = _mm256_cvtepu8_epi16(load16(p));
  const __m256i magnitude = _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x7f)), 7);
  const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x80)), 8);
  const __m256i half = _mm256_or_si256(magnitude, sign);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
ATELIER_INLINE Floats load_i8(const uint8_t* p) {
  return to_floats({_mm256_cvtepi8_epi32(load8(p)), _mm256_cvtepi8_epi32(load8(p + 8))});
}
ATELIER_INLINE Floats from_unsigned(__m128i v) {
  return to_floats({_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8))});
}
ATELIER_INLINE Floats load_low_nibbles(const uint8_t* p) {
  return from_unsigned(_mm_and_si128(load16(p), _mm_set1_epi8(15)));
}
ATELIER_INLINE Floats load_high_nibbles(const uint8_t* p) {
  return from_unsigned(_mm_and_si128(_mm_srli_epi16(load16(p), 4), _mm_set1_epi8(15)));
}
ATELIER_INLINE __m256 e8m0_half(__m256i e) {
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
  return _mm256_castsi256_ps(
      _mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1))));
}
ATELIER_INLINE Floats load_e8m0_half(const uint8_t* p) {
  return {e8m0_half(_mm256_cvtepu8_epi32(load8(p))), e8m0_half(_mm256_cvtepu8_epi32(load8(p + 8)))};
}

// 16 bytes of each of 16 rows: vector j holds bytes 4j … 4j + 3, row by row.
ATELIER_INLINE void load_rows(const RowPointers& p, Bytes (&v)[4]) {
  __m256i out[4][2];
#pragma GCC unroll 2
  for (size_t half = 0; half < 2; ++half) {
    __m256i rows[4];  // rows[i]: row 8·half + i, and above it row 8·half + 4 + i
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      const uint8_t* first = half == 0 ? p.row[i] : p.row[i] + 2 * p.stride4;
      const uint8_t* second = half == 0 ? p.row[i] + p.stride4 : p.row[i] + p.stride12;
      rows[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(first)), load16(second), 1);
    }
    const __m256i low01 = _mm256_unpacklo_epi32(rows[0], rows[1]),
                  high01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
    const __m256i low23 = _mm256_unpacklo_epi32(rows[2], rows[3]),
                  high23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
    out[0][half] = _mm256_unpacklo_epi64(low01, low23);
    out[1][half] = _mm256_unpackhi_epi64(low01, low23);
    out[2][half] = _mm256_unpacklo_epi64(high01, high23);
    out[3][half] = _mm256_unpackhi_epi64(high01, high23);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) v[j] = {out[j][0], out[j][1]};
}
// Of each row's four bytes: the nibbles of the first two in order, and those of the last two.
ATELIER_INLINE __m256i spread_nibbles(__m256i v, __m256i doubled, Table table) {
  const __m256i twice = _mm256_shuffle_epi8(v, doubled);  // bytes a a b b of each row
  const __m256i mask = _mm256_set1_epi16(0x000f), high = _mm256_set1_epi16(0x0f00);
  const __m256i codes =
      _mm256_or_si256(_mm256_and_si256(twice, mask), _mm256_and_si256(_mm256_srli_epi16(twice, 4), high));
  return _mm256_shuffle_epi8(table, codes);
}
ATELIER_INLINE void look_up_pairs(Bytes v, Table table, Bytes& first, Bytes& second) {
  const __m256i front = _mm256_setr_epi8(0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13, 0, 0, 1, 1, 4, 4,
                                         5, 5, 8, 8, 9, 9, 12, 12, 13, 13);
  const __m256i back = _mm256_add_epi8(front, _mm256_set1_epi8(2));
  first = {spread_nibbles(v.lo, front, table), spread_nibbles(v.hi, front, table)};
  second = {spread_nibbles(v.lo, back, table), spread_nibbles(v.hi, back, table)};
}
#include "kernels/cpu/matmul/plain_sums-inl.h"
#include "kernels/cpu/matmul/row_scales-inl.h"
ATELIER_INLINE Floats load_bf16_even(const uint8_t* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(load32(p), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(load32(p + 32), 16))};
}
ATELIER_INLINE Floats load_bf16_odd(const uint8_t* p) {
  const __m256i upper = _mm256_set1_epi32(-65536);
  return {_mm256_castsi256_ps(_mm256_and_si256(load32(p), upper)),
          _mm256_castsi256_ps(_mm256_and_si256(load32(p + 32), upper))};
}

ATELIER_INLINE __m256i magnitude_bits(__m256 v) {
  return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}
ATELIER_INLINE uint32_t max_magnitude_bits(Floats a, Floats b) {
  const __m256i eight = _mm256_max_epu32(_mm256_max_epu32(magnitude_bits(a.lo), magnitude_bits(a.hi)),
                                         _mm256_max_epu32(magnitude_bits(b.lo), magnitude_bits(b.hi)));
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
}
ATELIER_INLINE int32_t round_to_codes(Floats v, int8_t* codes) {
  const __m256i lo = _mm256_cvtps_epi32(v.lo), hi = _mm256_cvtps_epi32(v.hi);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes),
                   _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  const __m256i eight = _mm256_add_epi32(lo, hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}
