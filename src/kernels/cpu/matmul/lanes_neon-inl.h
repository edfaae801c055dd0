// The vectors the matrix kernels are written in, for NEON: four registers each. Results are those of AVX2,
// bit for bit: integers are exact, and both have a fused multiply-add. Included inside a target region and
// namespace; see lanes_generic-inl.h for what each function means.
//   ATELIER_NEON_DOT    there is SDOT (ARMv8.2 dotprod)
//   ATELIER_NEON_USDOT  there is USDOT (i8mm), which takes codes above 127 as they are

struct Bytes {
  uint8x16_t v[4];
};
struct Ints {
  int32x4_t v[4];
};
struct Floats {
  float32x4_t v[4];
};
using Table = uint8x16_t;

// f(0), f(1), f(2), f(3) as the registers of a vector.
template <class Vector, class Function>
ATELIER_INLINE Vector each(Function f) {
  return {{f(0), f(1), f(2), f(3)}};
}

ATELIER_INLINE Bytes load_bytes(const uint8_t* p) {
  return {{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
}
ATELIER_INLINE void store_bytes(uint8_t* p, Bytes v) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, v.v[i]);
}

ATELIER_INLINE Table load_table(const uint8_t* p) { return vld1q_u8(p); }
ATELIER_INLINE Bytes look_up_low(Bytes v, Table table) {
  const uint8x16_t mask = vdupq_n_u8(15);
  return each<Bytes>([&](int i) { return vqtbl1q_u8(table, vandq_u8(v.v[i], mask)); });
}
ATELIER_INLINE Bytes look_up_high(Bytes v, Table table) {
  return each<Bytes>([&](int i) { return vqtbl1q_u8(table, vshrq_n_u8(v.v[i], 4)); });
}

template <int kLeft, int kMask>
ATELIER_INLINE Bytes or_shifted(Bytes w, Bytes bits) {
  const uint8x16_t mask = vdupq_n_u8(kMask);
  const int8x16_t by = vdupq_n_s8(kLeft);  // to the right where negative
  return each<Bytes>([&](int i) { return vorrq_u8(w.v[i], vandq_u8(vshlq_u8(bits.v[i], by), mask)); });
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
  const uint8x16_t all = vdupq_n_u8(v);
  return each<Bytes>([&](int i) { return vsubq_u8(w.v[i], all); });
}

ATELIER_INLINE Ints set_ints(int32_t v) {
  return each<Ints>([&](int) { return vdupq_n_s32(v); });
}

// sum[r] + Σ w[4r + i] · a[4r + i], both signed; |w · a| < 2^14 where products are widened.
ATELIER_INLINE int32x4_t dot_signed(int32x4_t sum, int8x16_t w, int8x16_t a) {
#if ATELIER_NEON_DOT
  return vdotq_s32(sum, w, a);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, a));
  return vaddq_s32(sum, vpaddq_s32(low, high));
#endif
}
// Codes above 127 are taken as code − 128, and 128 · Σ a added.
template <bool kWide>
ATELIER_INLINE Ints dot(Ints sum, Bytes w, const int8_t* four) {
  int32_t quad;
  __builtin_memcpy(&quad, four, 4);
  const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(quad));
#if ATELIER_NEON_USDOT
  return each<Ints>([&](int i) { return vusdotq_s32(sum.v[i], w.v[i], a); });
#else
  if constexpr (kWide) {
    const int32x4_t offset = vdupq_n_s32(128 * (four[0] + four[1] + four[2] + four[3]));
    const uint8x16_t top = vdupq_n_u8(128);
    return each<Ints>([&](int i) {
      return dot_signed(vaddq_s32(sum.v[i], offset), vreinterpretq_s8_u8(veorq_u8(w.v[i], top)), a);
    });
  }
  return each<Ints>([&](int i) { return dot_signed(sum.v[i], vreinterpretq_s8_u8(w.v[i]), a); });
#endif
}
ATELIER_INLINE Ints add_ints(Ints a, Ints b) {
  return each<Ints>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
ATELIER_INLINE Floats to_floats(Ints v) {
  return each<Floats>([&](int i) { return vcvtq_f32_s32(v.v[i]); });
}

ATELIER_INLINE Floats set_floats(float v) {
  return each<Floats>([&](int) { return vdupq_n_f32(v); });
}
ATELIER_INLINE Floats load_floats(const float* p) {
  return each<Floats>([&](int i) { return vld1q_f32(p + 4 * i); });
}
ATELIER_INLINE void store_floats(float* p, Floats v) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.v[i]);
}
ATELIER_INLINE Floats multiply(Floats a, Floats b) {
  return each<Floats>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
ATELIER_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return each<Floats>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
ATELIER_INLINE Floats add(Floats a, Floats b) {
  return each<Floats>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}

ATELIER_INLINE Floats load_f16(const uint8_t* p) {
  return each<Floats>([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i))); });
}
ATELIER_INLINE Floats load_f8(const uint8_t* p) {
  const uint8x16_t codes = vld1q_u8(p);
  const uint16x8_t words[2] = {vmovl_u8(vget_low_u8(codes)), vmovl_high_u8(codes)};
  Floats r;
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const uint16x8_t magnitude = vshlq_n_u16(vandq_u16(words[i], vdupq_n_u16(0x7f)), 7);
    const uint16x8_t sign = vshlq_n_u16(vandq_u16(words[i], vdupq_n_u16(0x80)), 8);
    const float16x8_t half = vreinterpretq_f16_u16(vorrq_u16(magnitude, sign));
    r.v[2 * i] = vcvt_f32_f16(vget_low_f16(half));
    r.v[2 * i + 1] = vcvt_high_f32_f16(half);
  }
  return r;
}
ATELIER_INLINE Floats from_signed(int8x16_t v) {
  const int16x8_t low = vmovl_s8(vget_low_s8(v)), high = vmovl_high_s8(v);
  return to_floats({{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
                     vmovl_high_s16(high)}});
}
ATELIER_INLINE Floats load_i8(const uint8_t* p) { return from_signed(vreinterpretq_s8_u8(vld1q_u8(p))); }
ATELIER_INLINE Floats load_low_nibbles(const uint8_t* p) {
  return from_signed(vreinterpretq_s8_u8(vandq_u8(vld1q_u8(p), vdupq_n_u8(15))));
}
ATELIER_INLINE Floats load_high_nibbles(const uint8_t* p) {
  return from_signed(vreinterpretq_s8_u8(vshrq_n_u8(vld1q_u8(p), 4)));
}
ATELIER_INLINE float32x4_t e8m0_half(uint32x4_t e) {
  const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
  const uint32x4_t subnormal = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
  return vreinterpretq_f32_u32(vbslq_u32(vcgtq_u32(e, vdupq_n_u32(1)), normal, subnormal));
}
ATELIER_INLINE Floats load_e8m0_half(const uint8_t* p) {
  const uint8x16_t v = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(v)), high = vmovl_high_u8(v);
  return {{e8m0_half(vmovl_u16(vget_low_u16(low))), e8m0_half(vmovl_high_u16(low)),
           e8m0_half(vmovl_u16(vget_low_u16(high))), e8m0_half(vmovl_high_u16(high))}};
}

// 16 bytes of each of 16 rows: vector j holds bytes 4j … 4j + 3, row by row.
ATELIER_INLINE void load_rows(const RowPointers& p, Bytes (&v)[4]) {
  const size_t offsets[4] = {0, p.stride4, 2 * p.stride4, p.stride12};
#pragma GCC unroll 4
  for (int group = 0; group < 4; ++group) {  // rows 4 · group … + 3: a 4 × 4 transposition of 32-bit words
    uint32x4_t rows[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) rows[i] = vreinterpretq_u32_u8(vld1q_u8(p.row[i] + offsets[group]));
    const uint64x2_t even01 = vreinterpretq_u64_u32(vtrn1q_u32(rows[0], rows[1]));
    const uint64x2_t odd01 = vreinterpretq_u64_u32(vtrn2q_u32(rows[0], rows[1]));
    const uint64x2_t even23 = vreinterpretq_u64_u32(vtrn1q_u32(rows[2], rows[3]));
    const uint64x2_t odd23 = vreinterpretq_u64_u32(vtrn2q_u32(rows[2], rows[3]));
    v[0].v[group] = vreinterpretq_u8_u64(vtrn1q_u64(even01, even23));
    v[1].v[group] = vreinterpretq_u8_u64(vtrn1q_u64(odd01, odd23));
    v[2].v[group] = vreinterpretq_u8_u64(vtrn2q_u64(even01, even23));
    v[3].v[group] = vreinterpretq_u8_u64(vtrn2q_u64(odd01, odd23));
  }
}
// Of each row's four bytes: the nibbles of the first two in order, and those of the last two.
ATELIER_INLINE void look_up_pairs(Bytes v, Table table, Bytes& first, Bytes& second) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const uint8x16_t low = vandq_u8(v.v[i], vdupq_n_u8(15)), high = vshrq_n_u8(v.v[i], 4);
    // Each row's eight nibbles in order, two rows a register.
    const uint32x4_t rows01 = vreinterpretq_u32_u8(vzip1q_u8(low, high));
    const uint32x4_t rows23 = vreinterpretq_u32_u8(vzip2q_u8(low, high));
    first.v[i] = vqtbl1q_u8(table, vreinterpretq_u8_u32(vuzp1q_u32(rows01, rows23)));
    second.v[i] = vqtbl1q_u8(table, vreinterpretq_u8_u32(vuzp2q_u32(rows01, rows23)));
  }
}
#include "kernels/cpu/matmul/plain_sums-inl.h"
#include "kernels/cpu/matmul/row_scales-inl.h"
ATELIER_INLINE Floats load_bf16_even(const uint8_t* p) {
  return each<Floats>([&](int i) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_u8(vld1q_u8(p + 16 * i)), 16));
  });
}
ATELIER_INLINE Floats load_bf16_odd(const uint8_t* p) {
  const uint32x4_t upper = vdupq_n_u32(0xffff0000u);
  return each<Floats>([&](int i) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_u8(vld1q_u8(p + 16 * i)), upper));
  });
}

ATELIER_INLINE uint32_t max_magnitude_bits(Floats a, Floats b) {
  const uint32x4_t magnitude = vdupq_n_u32(0x7fffffffu);
  uint32x4_t largest = vdupq_n_u32(0);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(a.v[i]), magnitude));
    largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(b.v[i]), magnitude));
  }
  return vmaxvq_u32(largest);
}
ATELIER_INLINE int32_t round_to_codes(Floats v, int8_t* codes) {
  const Ints rounded = each<Ints>([&](int i) { return vcvtnq_s32_f32(v.v[i]); });
  const int16x8_t low = vcombine_s16(vmovn_s32(rounded.v[0]), vmovn_s32(rounded.v[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(rounded.v[2]), vmovn_s32(rounded.v[3]));
  vst1q_s8(codes, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
  return vaddvq_s32(vaddq_s32(vaddq_s32(rounded.v[0], rounded.v[1]), vaddq_s32(rounded.v[2], rounded.v[3])));
}
