// The vectors the matrix kernels are written in, as arrays: 64 bytes, 16 integers or 16 floats, lane = row.
// This is the definition the wide ones are held to; compilers turn it into whatever the baseline has.

struct Bytes {
  alignas(16) uint8_t v[64];
};
struct Ints {
  alignas(16) int32_t v[16];
};
struct Floats {
  alignas(16) float v[16];
};
struct Table {
  alignas(16) uint8_t v[16];
};

ATELIER_INLINE Bytes load_bytes(const uint8_t* p) {
  Bytes r;
  __builtin_memcpy(r.v, p, 64);
  return r;
}
ATELIER_INLINE void store_bytes(uint8_t* p, const Bytes& v) { __builtin_memcpy(p, v.v, 64); }

ATELIER_INLINE Table load_table(const uint8_t* p) {
  Table r;
  __builtin_memcpy(r.v, p, 16);
  return r;
}
// What the low (high) nibbles of `v` stand for.
ATELIER_INLINE Bytes look_up_low(const Bytes& v, const Table& table) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.v[i] = table.v[v.v[i] & 15];
  return r;
}
ATELIER_INLINE Bytes look_up_high(const Bytes& v, const Table& table) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.v[i] = table.v[v.v[i] >> 4];
  return r;
}
// Bit kBit of `bits` becomes bit 4 of w.
template <int kBit>
ATELIER_INLINE Bytes or_fifth_bit(const Bytes& w, const Bytes& bits) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.v[i] = static_cast<uint8_t>(w.v[i] | ((bits.v[i] >> kBit) & 1) << 4);
  return r;
}
// Bits 2·kPair and 2·kPair + 1 of `bits` become bits 4 and 5 of w.
template <int kPair>
ATELIER_INLINE Bytes or_upper_bits(const Bytes& w, const Bytes& bits) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.v[i] = static_cast<uint8_t>(w.v[i] | ((bits.v[i] >> (2 * kPair)) & 3) << 4);
  return r;
}

ATELIER_INLINE Bytes subtract_bytes(const Bytes& w, uint8_t v) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.v[i] = static_cast<uint8_t>(w.v[i] - v);
  return r;
}

ATELIER_INLINE Ints set_ints(int32_t v) {
  Ints r;
  for (int i = 0; i < 16; ++i) r.v[i] = v;
  return r;
}
// sum[r] + Σ w[4r + i] · four[i]; codes above 128 only if kWide.
template <bool kWide>
ATELIER_INLINE Ints dot(Ints sum, const Bytes& w, const int8_t* four) {
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 4; ++i) sum.v[r] += w.v[4 * r + i] * four[i];
  return sum;
}
ATELIER_INLINE Ints add_ints(Ints a, const Ints& b) {
  for (int i = 0; i < 16; ++i) a.v[i] += b.v[i];
  return a;
}
ATELIER_INLINE Floats to_floats(const Ints& v) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(v.v[i]);
  return r;
}

ATELIER_INLINE Floats set_floats(float v) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = v;
  return r;
}
ATELIER_INLINE Floats load_floats(const float* p) {
  Floats r;
  __builtin_memcpy(r.v, p, 64);
  return r;
}
ATELIER_INLINE void store_floats(float* p, const Floats& v) { __builtin_memcpy(p, v.v, 64); }
ATELIER_INLINE Floats multiply(const Floats& a, const Floats& b) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = a.v[i] * b.v[i];
  return r;
}
// a · b + c. Wide versions round once, this one twice: without FMA hardware fmaf() is a slow library call.
ATELIER_INLINE Floats multiply_add(const Floats& a, const Floats& b, const Floats& c) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = a.v[i] * b.v[i] + c.v[i];
  return r;
}
ATELIER_INLINE Floats add(const Floats& a, const Floats& b) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = a.v[i] + b.v[i];
  return r;
}

// 16 scales of one kind.
ATELIER_INLINE Floats load_f16(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) {
    uint16_t bits;
    __builtin_memcpy(&bits, p + 2 * i, 2);
    r.v[i] = f16_to_f32(bits);
  }
  return r;
}
// FP8 E4M3 codes as the f16 that has their bits in its place: 2^-8 of their values.
ATELIER_INLINE Floats load_f8(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i)
    r.v[i] = f16_to_f32(static_cast<uint16_t>((p[i] & 0x80) << 8 | (p[i] & 0x7f) << 7));
  return r;
}
ATELIER_INLINE Floats load_i8(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(static_cast<int8_t>(p[i]));
  return r;
}
ATELIER_INLINE Floats load_low_nibbles(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(p[i] & 15);
  return r;
}
ATELIER_INLINE Floats load_high_nibbles(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(p[i] >> 4);
  return r;
}
ATELIER_INLINE Floats load_e8m0_half(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.v[i] = e8m0_to_f32_half(p[i]);
  return r;
}

// 16 bytes of each of 16 rows: vector j holds bytes 4j … 4j + 3, row by row.
ATELIER_INLINE void load_rows(const RowPointers& p, Bytes (&v)[4]) {
  for (size_t r = 0; r < 16; ++r)
    for (size_t j = 0; j < 4; ++j)
      __builtin_memcpy(v[j].v + 4 * r, p.row[r % 4] + r / 4 * p.stride4 + 4 * j, 4);
}
// Of each row's four bytes: the nibbles of the first two in order, and those of the last two.
ATELIER_INLINE void look_up_pairs(const Bytes& v, const Table& table, Bytes& first, Bytes& second) {
  for (size_t r = 0; r < 16; ++r) {
    for (size_t i = 0; i < 4; ++i) {
      const int shift = i % 2 == 0 ? 0 : 4;
      first.v[4 * r + i] = table.v[(v.v[4 * r + i / 2] >> shift) & 15];
      second.v[4 * r + i] = table.v[(v.v[4 * r + 2 + i / 2] >> shift) & 15];
    }
  }
}
#include "kernels/cpu/matmul/plain_sums-inl.h"
#include "kernels/cpu/matmul/row_scales-inl.h"
// bf16 in pairs of columns.
ATELIER_INLINE Floats load_bf16(const uint8_t* p) {
  Floats r;
  for (int i = 0; i < 16; ++i) {
    uint16_t bits;
    __builtin_memcpy(&bits, p + 4 * i, 2);
    r.v[i] = bf16_to_f32(bits);
  }
  return r;
}
ATELIER_INLINE Floats load_bf16_even(const uint8_t* p) { return load_bf16(p); }
ATELIER_INLINE Floats load_bf16_odd(const uint8_t* p) { return load_bf16(p + 2); }

// The largest |a|, |b| as bits: integers order magnitudes as floats do, and put NaN last.
ATELIER_INLINE uint32_t max_magnitude_bits(const Floats& a, const Floats& b) {
  uint32_t largest = 0;
  for (const Floats* f : {&a, &b})
    for (int i = 0; i < 16; ++i) {
      uint32_t bits;
      __builtin_memcpy(&bits, &f->v[i], 4);
      bits &= 0x7fffffffu;
      largest = bits > largest ? bits : largest;
    }
  return largest;
}
// Rounds to nearest even, |v| < 2^22; returns the sum.
ATELIER_INLINE int32_t round_to_codes(const Floats& v, int8_t* codes) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    const float shifted = v.v[i] + 12582912.0f;  // 1.5 · 2^23: the integer stands in the low mantissa bits
    int32_t bits;
    __builtin_memcpy(&bits, &shifted, 4);
    const int32_t code = bits - 0x4b400000;
    codes[i] = static_cast<int8_t>(code);
    sum += code;
  }
  return sum;
}
