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
  if constexpr (kLeft >= 0) return _mm512_slli_epi16(v, static_cast<unsigned>(kLeft));
  else return _mm512_srli_epi16(v, static_cast<unsigned>(-kLeft));
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
template <bool kWide>
ATELIER_INLINE Ints dot(Ints sum, Bytes w, const int8_t* four) {
  int32_t quad;
  __builtin_memcpy(&quad, four, 4);
  return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(quad));
}
ATELIER_INLINE Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }

ATELIER_INLINE Floats set_floats(float v) { return _mm512_set1_ps(v); }
ATELIER_INLINE Floats load_floats(const float* p) { return _mm512_loadu_ps(p); }
ATELIER_INLINE void store_floats(float* p, Floats v) { _mm512_storeu_ps(p, v); }
ATELIER_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
ATELIER_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
ATELIER_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }

ATELIER_INLINE Floats load_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
ATELIER_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
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
ATELIER_INLINE Floats load_e8m0_half(const uint8_t* p) {
  const __m512i e = _mm512_cvtepu8_epi32(load16(p));
  const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
  const __mmask16 subnormal = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
  return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(normal, subnormal, _mm512_set1_epi32(0x00200000), e));
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
