// The vectors the matrix kernels are written in, for AVX-512 with VNNI and VBMI: one register each.
// Included inside a target region and namespace; see lanes_generic-inl.h for what each function means.

using Bytes = __m512i;
using Ints = __m512i;
using Floats = __m512;
using Table = __m512i;

ATELIER_INLINE Bytes load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
ATELIER_INLINE void store_bytes(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v); }

// vpermb looks at six bits of its index: with the table repeated four times bits 4 and 5 do not matter, so
// nibbles need no masking.
ATELIER_INLINE Table load_table(const uint8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
ATELIER_INLINE Bytes look_up_low(Bytes v, Table table) { return _mm512_permutexvar_epi8(v, table); }
ATELIER_INLINE Bytes look_up_high(Bytes v, Table table) {
  return _mm512_permutexvar_epi8(_mm512_srli_epi16(v, 4), table);
}

constexpr int kOrAnd = 0xf8;  // a | (b & c)
template <int kLeft>
ATELIER_INLINE Bytes shift_bits(Bytes v) {
  if constexpr (kLeft >= 0)
    return _mm512_slli_epi16(v, static_cast<unsigned>(kLeft));
  else
    return _mm512_srli_epi16(v, static_cast<unsigned>(-kLeft));
}
template <int kBit>
ATELIER_INLINE Bytes or_fifth_bit(Bytes w, Bytes bits) {
  return _mm512_ternarylogic_epi32(w, shift_bits<4 - kBit>(bits), _mm512_set1_epi8(0x10), kOrAnd);
}
template <int kPair>
ATELIER_INLINE Bytes or_upper_bits(Bytes w, Bytes bits) {
  return _mm512_ternarylogic_epi32(w, shift_bits<4 - 2 * kPair>(bits), _mm512_set1_epi8(0x30), kOrAnd);
}
ATELIER_INLINE Bytes subtract_bytes(Bytes w, uint8_t zero_point) {
  return _mm512_sub_epi8(w, _mm512_set1_epi8(static_cast<char>(zero_point)));
}

ATELIER_INLINE Ints set_ints(int32_t v) { return _mm512_set1_epi32(v); }
ATELIER_INLINE Ints load_quad(const int8_t* four) {
  int32_t quad;
  __builtin_memcpy(&quad, four, 4);
  return _mm512_set1_epi32(quad);
}
ATELIER_INLINE Ints dot_quad(Ints sum, Bytes w, Ints quad) { return _mm512_dpbusd_epi32(sum, w, quad); }
template <bool kWide>
ATELIER_INLINE Ints dot(Ints sum, Bytes w, const int8_t* four) {
  return dot_quad(sum, w, load_quad(four));
}
ATELIER_INLINE Ints add_ints(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
ATELIER_INLINE Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }

ATELIER_INLINE Floats set_floats(float v) { return _mm512_set1_ps(v); }
ATELIER_INLINE Floats load_floats(const float* p) { return _mm512_loadu_ps(p); }
ATELIER_INLINE void store_floats(float* p, Floats v) { _mm512_storeu_ps(p, v); }
ATELIER_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
ATELIER_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
ATELIER_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }

// Integer sums start from the bits of B = 1.5 · 2^23 and so become the bits of B + sum: one multiply-add then
// gives float(sum) · scale, rounded once as a multiplication would, and no conversion. B · scale is exact, as
// scales have at most 19 significant bits.
constexpr int32_t kSumBias = 0x4b400000;
struct ScaleOfSums {
  Floats scale, shift;  // shift = −B · scale
};
ATELIER_INLINE ScaleOfSums scale_of_sums(Floats scale) {
  return {scale, multiply(scale, set_floats(-0x1.8p23f))};
}
ATELIER_INLINE Floats scaled(Ints sum, const ScaleOfSums& by) {
  return multiply_add(_mm512_castsi512_ps(sum), by.scale, by.shift);
}

ATELIER_INLINE Floats load_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
}
ATELIER_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
ATELIER_INLINE Floats load_f8(const uint8_t* p) {
  const __m256i words = _mm256_cvtepu8_epi16(load16(p));
  const __m256i magnitude = _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x7f)), 7);
  const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x80)), 8);
  return _mm512_cvtph_ps(_mm256_or_si256(magnitude, sign));
}
ATELIER_INLINE Floats load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p)));
}
ATELIER_INLINE Floats load_low_nibbles(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(load16(p), _mm_set1_epi8(15))));
}
ATELIER_INLINE Floats load_high_nibbles(const uint8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(load16(p), 4), _mm_set1_epi8(15))));
}
ATELIER_INLINE Floats e8m0_half(__m512i e) {
  const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
  const __mmask16 subnormal = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
  return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(normal, subnormal, _mm512_set1_epi32(0x00200000), e));
}
ATELIER_INLINE Floats load_e8m0_half(const uint8_t* p) { return e8m0_half(_mm512_cvtepu8_epi32(load16(p))); }

// 16 bytes of each of 16 rows: vector j holds bytes 4j … 4j + 3, row by row.
ATELIER_INLINE void load_rows(const RowPointers& p, Bytes (&v)[4]) {
  __m512i rows[4];  // rows[i], 128-bit lane l: row 4l + i
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    rows[i] = _mm512_castsi128_si512(load16(p.row[i]));
    rows[i] = _mm512_inserti32x4(rows[i], load16(p.row[i] + p.stride4), 1);
    rows[i] = _mm512_inserti32x4(rows[i], load16(p.row[i] + 2 * p.stride4), 2);
    rows[i] = _mm512_inserti32x4(rows[i], load16(p.row[i] + p.stride12), 3);
  }
  const __m512i low01 = _mm512_unpacklo_epi32(rows[0], rows[1]),
                high01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(rows[2], rows[3]),
                high23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
  v[0] = _mm512_unpacklo_epi64(low01, low23);
  v[1] = _mm512_unpackhi_epi64(low01, low23);
  v[2] = _mm512_unpacklo_epi64(high01, high23);
  v[3] = _mm512_unpackhi_epi64(high01, high23);
}
// Of each row's four bytes: the nibbles of the first two in order, and those of the last two.
ATELIER_INLINE void look_up_pairs(Bytes v, Table table, Bytes& first, Bytes& second) {
  // Each control byte names the bit of its 64-bit lane (two rows) at which its eight bits start.
  const __m512i first_bits = _mm512_set1_epi64(0x2c2824200c080400),
                second_bits = _mm512_set1_epi64(0x3c3834301c181410);
  first = _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(first_bits, v), table);
  second = _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(second_bits, v), table);
}
// Four bytes at p + r · stride for each of 16 rows; the E8M0 scales in one of them, halved.
struct FourScales {
  __m512i bytes;
};
ATELIER_INLINE FourScales load_four_scales(const uint8_t* p, size_t stride) {
  const __m512i rows = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i offsets = _mm512_mullo_epi32(rows, _mm512_set1_epi32(static_cast<int>(stride)));
  return {_mm512_i32gather_epi32(offsets, p, 1)};
}
ATELIER_INLINE __m512i exponent_of(FourScales four, size_t byte) {
  const __m512i shifted = _mm512_srl_epi32(four.bytes, _mm_cvtsi32_si128(static_cast<int>(8 * byte)));
  return _mm512_and_si512(shifted, _mm512_set1_epi32(255));
}
ATELIER_INLINE Floats scale_of(FourScales four, size_t byte) { return e8m0_half(exponent_of(four, byte)); }
// The f16 scales in the first two bytes.
ATELIER_INLINE Floats f16_scale_of(FourScales four) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(four.bytes));
}
// bf16 of even columns stand in the low half of each 32-bit lane, odd columns in the high half.
ATELIER_INLINE Floats load_bf16_even(const uint8_t* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
ATELIER_INLINE Floats load_bf16_odd(const uint8_t* p) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(-65536)));
}

ATELIER_INLINE uint32_t max_magnitude_bits(Floats a, Floats b) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  return _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                                                  _mm512_and_si512(_mm512_castps_si512(b), magnitude)));
}
ATELIER_INLINE int32_t round_to_codes(Floats v, int8_t* codes) {
  const __m512i rounded = _mm512_cvtps_epi32(v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(rounded));
  return _mm512_reduce_add_epi32(rounded);
}
