// Kernels of the quantised layouts, written in the vectors of lanes_*-inl.h. Included inside a target region.
// Numerics: matmul.h. Layouts: packed.h.

template <PackedLayout kLayout>
struct Quant {
  static constexpr PackedLayoutInfo kInfo = packed_layout_info(kLayout);
  static constexpr bool kHasMin = kInfo.has_min;
  static constexpr int kGranules = kInfo.granules;
  static constexpr int kQuads = 8 / kGranules;  // code vectors per granule
  // Codes above 128: all others fit where 8 × 8 bit products are added in pairs (see dot).
  static constexpr bool kWide =
      kLayout == PackedLayout::kByteF16 || kLayout == PackedLayout::kNibF16 || kLayout == PackedLayout::kNibK;
  static constexpr bool kSuper = kInfo.group_blocks == 8;  // scales are a float times a small integer
};

// The float factors of a group's 256 columns; unused where scales stand for themselves.
struct SuperScales {
  Floats scale, min;
};
template <PackedLayout kLayout>
ATELIER_INLINE SuperScales super_scales(const uint8_t* header) {
  using Q = Quant<kLayout>;
  SuperScales super;
  if constexpr (Q::kSuper) super.scale = load_f16(header);
  if constexpr (Q::kSuper && Q::kHasMin) super.min = load_f16(header + 32);
  return super;
}

// Scale (and min) of granule g of block b of a group, 16 rows.
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_scale(const uint8_t* header, size_t b, size_t g, const SuperScales& super) {
  using enum PackedLayout;
  if constexpr (kLayout == kNibF16Min || kLayout == kFiveF16Min) return load_f16(header);
  if constexpr (kLayout == kNibE8M0) return load_e8m0_half(header + 16 * b);
  if constexpr (kLayout == kNibK) return multiply(super.scale, load_i8(header + 32 + 16 * b));
  if constexpr (kLayout == kNibKMin || kLayout == kFiveKMin)
    return multiply(super.scale, load_i8(header + 64 + 32 * b));
  if constexpr (kLayout == kNibK16 || kLayout == kSixK16)
    return multiply(super.scale, load_i8(header + 64 + 32 * b + 16 * g));
  if constexpr (kLayout == kNibK16Min)
    return multiply(super.scale, load_low_nibbles(header + 64 + 32 * b + 16 * g));
  return load_f16(header + 32 * b);
}
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_min(const uint8_t* header, size_t b, size_t g, const SuperScales& super) {
  using enum PackedLayout;
  if constexpr (kLayout == kNibKMin || kLayout == kFiveKMin)
    return multiply(super.min, load_i8(header + 64 + 32 * b + 16));
  if constexpr (kLayout == kNibK16Min)
    return multiply(super.min, load_high_nibbles(header + 64 + 32 * b + 16 * g));
  return load_f16(header + 32);
}

// The eight code vectors of a block.
template <PackedLayout kLayout>
ATELIER_INLINE void load_codes(const uint8_t* p, const Table& table, Bytes (&w)[8]) {
  constexpr int kBits = Quant<kLayout>::kInfo.code_bits;
  if constexpr (kBits == 8) {
    ATELIER_UNROLL_LANES
    for (int j = 0; j < 8; ++j) w[j] = load_bytes(p + 64 * j);
    return;
  }
  ATELIER_UNROLL_LANES
  for (int j = 0; j < 4; ++j) {
    const Bytes v = load_bytes(p + 64 * j);
    w[j] = look_up_low(v, table);
    w[j + 4] = look_up_high(v, table);
  }
  if constexpr (kBits == 5) {
    const Bytes bits = load_bytes(p + 256);
    w[0] = or_fifth_bit<0>(w[0], bits);
    w[1] = or_fifth_bit<1>(w[1], bits);
    w[2] = or_fifth_bit<2>(w[2], bits);
    w[3] = or_fifth_bit<3>(w[3], bits);
    w[4] = or_fifth_bit<4>(w[4], bits);
    w[5] = or_fifth_bit<5>(w[5], bits);
    w[6] = or_fifth_bit<6>(w[6], bits);
    w[7] = or_fifth_bit<7>(w[7], bits);
  }
  if constexpr (kBits == 6) {
    const Bytes first = load_bytes(p + 256), second = load_bytes(p + 320);
    w[0] = or_upper_bits<0>(w[0], first);
    w[1] = or_upper_bits<1>(w[1], first);
    w[2] = or_upper_bits<2>(w[2], first);
    w[3] = or_upper_bits<3>(w[3], first);
    w[4] = or_upper_bits<0>(w[4], second);
    w[5] = or_upper_bits<1>(w[5], second);
    w[6] = or_upper_bits<2>(w[6], second);
    w[7] = or_upper_bits<3>(w[7], second);
  }
}

// Code vectors of a granule that are in registers already, or are loaded when they are needed.
struct InRegisters {
  const Bytes* w;
};
struct InMemory {
  const uint8_t* w;
};
ATELIER_INLINE Bytes code_vector(InRegisters codes, int j) { return codes.w[j]; }
ATELIER_INLINE Bytes code_vector(InMemory codes, int j) { return load_bytes(codes.w + 64 * j); }

// Keeps the compiler from moving loads, and the products that take them as operands, to another place: left
// alone it runs other orders, for which registers do not suffice.
ATELIER_INLINE void keep_order() { __asm__ volatile("" ::: "memory"); }

ATELIER_INLINE float bits_as_float(int32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// acc[t] += one granule's dot product with token t. Tokens advance side by side, so that each waits for its
// previous dot product (5 cycles) while the others issue theirs; a token or two alone sum in two chains.
template <bool kHasMin, bool kWide, int kQuads, int kTokens, class Codes>
ATELIER_INLINE void add_granule(Floats (&acc)[kTokens], Codes w, const int8_t* codes, const float* a_scales,
                                const int32_t* aux, const Floats& scale, const Floats& min) {
  constexpr int kChains = kTokens <= 2 ? 2 : 1;
  Ints sums[kTokens][kChains];
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) {
    sums[t][0] = set_ints(kHasMin ? kSumBias : aux[t]);
    if constexpr (kChains == 2) sums[t][1] = set_ints(0);
  }
  ATELIER_UNROLL_LANES
  for (int j = 0; j < kQuads; ++j) {
    const Bytes v = code_vector(w, j);
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t)
      sums[t][j % kChains] = dot<kWide>(sums[t][j % kChains], v, codes + 32 * t + 4 * j);
    if constexpr (kTokens > 4) keep_order();
  }
  const ScaleOfSums by = scale_of_sums(scale);
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) {
    Ints sum = sums[t][0];
    if constexpr (kChains == 2) sum = add_ints(sum, sums[t][1]);
    acc[t] = multiply_add(scaled(sum, by), set_floats(a_scales[t]), acc[t]);
    if constexpr (kHasMin) acc[t] = multiply_add(min, set_floats(bits_as_float(aux[t])), acc[t]);
  }
}

// How far ahead of use weights are asked for: enough to cover memory latency at the rate one core reads.
constexpr size_t kPrefetchBytes = 2048;

template <PackedLayout kLayout, int kTokens>
void multiply_packed(const PackedWeight& weight, size_t first_panel, size_t n_panels, const QuantArgs& x,
                     float* out) {
  using Q = Quant<kLayout>;
  constexpr size_t kCodeBytes = Q::kInfo.code_bytes();
  const Table table = load_table(weight.format().table.data());
  const uint8_t* p = weight.panel(first_panel);
  for (size_t panel = 0; panel < n_panels; ++panel, out += 16 * kTokens) {
    Floats acc[kTokens];
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) acc[t] = set_floats(0);
    const int8_t* codes = x.codes;
    const float* scales = x.scales;
    const int32_t* aux = x.aux;
    for (size_t left = x.n_blocks; left > 0;) {
      const size_t n = left < Q::kInfo.group_blocks ? left : Q::kInfo.group_blocks;
      const uint8_t* header = p;
      const SuperScales super = super_scales<kLayout>(header);
      p += Q::kInfo.header_bytes;
      for (size_t b = 0; b < n; ++b, p += kCodeBytes) {
        ATELIER_UNROLL_LANES
        for (size_t line = 0; line < kCodeBytes; line += 64) __builtin_prefetch(p + kPrefetchBytes + line);
        Bytes w[8];
        load_codes<kLayout>(p, table, w);
        ATELIER_UNROLL_LANES
        for (int g = 0; g < Q::kGranules; ++g) {
          const Floats scale = load_scale<kLayout>(header, b, static_cast<size_t>(g), super);
          Floats min = scale;
          if constexpr (Q::kHasMin) min = load_min<kLayout>(header, b, static_cast<size_t>(g), super);
          add_granule<Q::kHasMin, Q::kWide, Q::kQuads, kTokens>(acc, InRegisters{w + g * Q::kQuads},
                                                                codes + 4 * Q::kQuads * g, scales,
                                                                aux + g * kTokens, scale, min);
        }
        codes += 32 * kTokens;
        scales += kTokens;
        aux += Q::kGranules * kTokens;
      }
      left -= n;
    }
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) store_floats(out + 16 * t, acc[t]);
  }
}

// kSigned: codes minus the zero point, for products that take both factors signed.
template <PackedLayout kLayout, bool kSigned>
void unpack(const PackedWeight& weight, size_t panel, size_t first_block, size_t n_blocks,
            const UnpackedBlocks& out) {
  using Q = Quant<kLayout>;
  constexpr size_t kCodeBytes = Q::kInfo.code_bytes();
  constexpr size_t kGroup = Q::kInfo.group_blocks;
  const PackedFormat& format = weight.format();
  const Table table = load_table(format.table.data());
  const uint8_t* p =
      weight.panel(panel) + first_block / kGroup * (Q::kInfo.header_bytes + kGroup * kCodeBytes);
  uint8_t* codes = out.codes;
  float* scales = out.scales;
  float* mins = out.mins;
  for (size_t left = n_blocks; left > 0;) {
    const size_t n = left < kGroup ? left : kGroup;
    const uint8_t* header = p;
    const SuperScales super = super_scales<kLayout>(header);
    p += Q::kInfo.header_bytes;
    for (size_t b = 0; b < n; ++b, p += kCodeBytes, codes += 512) {
      ATELIER_UNROLL_LANES
      for (size_t line = 0; line < kCodeBytes; line += 64) __builtin_prefetch(p + kPrefetchBytes + line);
      Bytes w[8];
      load_codes<kLayout>(p, table, w);
      if constexpr (kSigned && !Q::kHasMin) ATELIER_UNROLL_LANES
      for (int j = 0; j < 8; ++j) w[j] = subtract_bytes(w[j], format.zero_point);
      ATELIER_UNROLL_LANES
      for (int j = 0; j < 8; ++j) store_bytes(codes + 64 * j, w[j]);
      ATELIER_UNROLL_LANES
      for (int g = 0; g < Q::kGranules; ++g, scales += 16) {
        store_floats(scales, load_scale<kLayout>(header, b, static_cast<size_t>(g), super));
        if constexpr (Q::kHasMin) {
          store_floats(mins, load_min<kLayout>(header, b, static_cast<size_t>(g), super));
          mins += 16;
        }
      }
    }
    left -= n;
  }
}

// Tokens side by side in registers: as many as leave room for the codes.
template <bool kHasMin, bool kWide, int kGranules, int kTokens>
ATELIER_INLINE void multiply_unpacked_part(const UnpackedBlocks& blocks, const QuantArgs& x, size_t first,
                                           float* out) {
  constexpr int kQuads = 8 / kGranules;
  Floats acc[kTokens];
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) acc[t] = load_floats(out + 16 * t);
  const int8_t* codes = x.codes + 32 * first;
  const float* scales = x.scales + first;
  const int32_t* aux = x.aux + first;
  for (size_t b = 0; b < x.n_blocks; ++b) {
    ATELIER_UNROLL_LANES
    for (int g = 0; g < kGranules; ++g) {
      const size_t granule = b * kGranules + static_cast<size_t>(g);
      const Floats scale = load_floats(blocks.scales + 16 * granule);
      Floats min = scale;
      if constexpr (kHasMin) min = load_floats(blocks.mins + 16 * granule);
      const InMemory w{blocks.codes + 512 * b + 64 * static_cast<size_t>(kQuads * g)};
      add_granule<kHasMin, kWide, kQuads, kTokens>(acc, w, codes + 4 * kQuads * g, scales, aux, scale, min);
      aux += x.width;
    }
    codes += 32 * x.width;
    scales += x.width;
  }
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) store_floats(out + 16 * t, acc[t]);
}
template <bool kHasMin, bool kWide, int kGranules, int kTokens>
void multiply_unpacked(const UnpackedBlocks& blocks, const QuantArgs& x, float* out) {
  constexpr int kPart = kTokens < kTokensInRegisters ? kTokens : kTokensInRegisters;
  for (size_t first = 0; first < kTokens; first += kPart)
    multiply_unpacked_part<kHasMin, kWide, kGranules, kPart>(blocks, x, first, out + 16 * first);
}

// Blocks below this maximum count as zero: their inverse scale would overflow.
constexpr float kSmallestMax = 0x1p-100f;

// Rounds 32 values to codes, summed by 16; returns their scale.
ATELIER_INLINE float round_block(const Floats (&v)[2], int8_t* codes, int32_t (&sums)[2]) {
  const uint32_t max_bits = max_magnitude_bits(v[0], v[1]);
  float max;
  __builtin_memcpy(&max, &max_bits, 4);
  if (max_bits >= 0x7f800000u || max < kSmallestMax) {
    __builtin_memset(codes, 0, 32);
    sums[0] = sums[1] = 0;
    return max_bits >= 0x7f800000u ? __builtin_nanf("") : 0.0f;  // infinite or NaN: so are all results
  }
  const Floats inverse = set_floats(127.0f / max);
  sums[0] = round_to_codes(multiply(v[0], inverse), codes);
  sums[1] = round_to_codes(multiply(v[1], inverse), codes + 16);
  return max / 127.0f;
}

inline void quantize(std::span<const float* const> rows, size_t first, size_t last, const QuantTile& tile) {
  const size_t width = tile.width;
  for (size_t b = first; b < last; ++b) {
    Floats v[2];
    for (size_t slot = 0; slot < width; ++slot) {
      const size_t row = slot / tile.terms;
      int8_t* codes = tile.codes + 32 * (b * width + slot);
      float scale = 0;
      int32_t sums[2] = {0, 0};
      if (row >= rows.size()) {
        __builtin_memset(codes, 0, 32);
      } else {
        if (slot % tile.terms == 0) {
          v[0] = load_floats(rows[row] + 32 * b);
          v[1] = load_floats(rows[row] + 32 * b + 16);
        }
        scale = round_block(v, codes, sums);
        if (tile.terms > 1) {  // what is left for the next term
          const auto* rounded = reinterpret_cast<const uint8_t*>(codes);
          v[0] = multiply_add(load_i8(rounded), set_floats(-scale), v[0]);
          v[1] = multiply_add(load_i8(rounded + 16), set_floats(-scale), v[1]);
        }
      }
      tile.scales[b * width + slot] = scale;
      tile.sums[2 * b * width + slot] = sums[0];
      tile.sums[(2 * b + 1) * width + slot] = sums[1];
    }
  }
}

template <PackedLayout kLayout>
inline void set_multiply(QuantKernels& kernels) {
  kernels.multiply = {multiply_packed<kLayout, 1>, multiply_packed<kLayout, 2>, multiply_packed<kLayout, 4>,
                      multiply_packed<kLayout, 8>};
}
template <PackedLayout kLayout>
inline void set_quant(MatmulKernels& kernels) {
  using Q = Quant<kLayout>;
  QuantKernels& k = kernels.quant[static_cast<size_t>(kLayout)];
  set_multiply<kLayout>(k);
  k.unpack = unpack<kLayout, false>;
  k.multiply_unpacked = {
      multiply_unpacked<Q::kHasMin, Q::kWide, Q::kGranules, 1>,
      multiply_unpacked<Q::kHasMin, Q::kWide, Q::kGranules, 2>,
      multiply_unpacked<Q::kHasMin, Q::kWide, Q::kGranules, 4>,
      multiply_unpacked<Q::kHasMin, Q::kWide, Q::kGranules, 8>,
      multiply_unpacked<Q::kHasMin, Q::kWide, Q::kGranules, 16>,
  };
}
// Calls fn<layout>() for each quantised layout that is packed.
template <class Fn>
inline void for_each_quant_layout(Fn&& fn) {
  using enum PackedLayout;
  fn.template operator()<kNibF16>();
  fn.template operator()<kNibF16Min>();
  fn.template operator()<kNibE8M0>();
  fn.template operator()<kNibK>();
  fn.template operator()<kNibKMin>();
  fn.template operator()<kNibK16>();
  fn.template operator()<kNibK16Min>();
  fn.template operator()<kFiveF16>();
  fn.template operator()<kFiveF16Min>();
  fn.template operator()<kFiveKMin>();
  fn.template operator()<kSixK16>();
  fn.template operator()<kByteF16>();
}

inline void set_all_quant(MatmulKernels& kernels) {
  kernels.quantize = quantize;
  kernels.sum_bias = kSumBias;
  for_each_quant_layout([&]<PackedLayout kLayout>() { set_quant<kLayout>(kernels); });
}
