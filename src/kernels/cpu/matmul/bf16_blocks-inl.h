// Blocks of packed weights as bf16: 16 rows × 32 columns become the 16 rows of a tile operand, [pairs of
// columns][16 rows][2]. Included inside a target region, after quant-inl.h and rows-inl.h.

// NaN with few bits set: one of all ones would become −0 in the rounding below. (Comparing v with itself,
// Clang takes the vector apart.)
ATELIER_INLINE Floats quiet(Floats v) {
  constexpr int kQuietOrSignalling = 0x81;
  return _mm512_mask_mov_ps(v, _mm512_fpclass_ps_mask(v, kQuietOrSignalling),
                            _mm512_set1_ps(__builtin_nanf("")));
}
// Two columns of 16 rows, rounded to nearest, side by side.
ATELIER_INLINE __m512i round_pair(Floats even, Floats odd) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i e = _mm512_add_epi32(_mm512_castps_si512(even), half);
  const __m512i o = _mm512_add_epi32(_mm512_castps_si512(odd), half);
  return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(e, 16), o);
}
// Column 4j + kColumn of vector j: a byte of each row, as a float.
template <unsigned kColumn>
ATELIER_INLINE Floats column_of(Bytes w) {
  const __m512i shifted = kColumn == 0 ? w : _mm512_srli_epi32(w, 8 * kColumn);
  return _mm512_cvtepi32_ps(kColumn == 3 ? shifted : _mm512_and_si512(shifted, _mm512_set1_epi32(255)));
}

// The four columns of a code vector as two rows of a tile operand.
ATELIER_INLINE void store_block_columns(uint8_t* out, Bytes w, Floats scale, Floats min) {
  store_bytes(
      out, round_pair(multiply_add(column_of<0>(w), scale, min), multiply_add(column_of<1>(w), scale, min)));
  store_bytes(out + 64, round_pair(multiply_add(column_of<2>(w), scale, min),
                                   multiply_add(column_of<3>(w), scale, min)));
}

// Where the group of a block stands in a panel.
constexpr size_t packed_offset(const PackedLayoutInfo& info, size_t block) {
  return block / info.group_blocks * (info.header_bytes + info.group_blocks * info.code_bytes());
}
inline void prefetch_packed(const PackedLayoutInfo& info, const uint8_t* panel, size_t first, size_t n) {
  const uint8_t* end = panel + packed_offset(info, first + n - 1) + info.header_bytes +
                       ((first + n - 1) % info.group_blocks + 1) * info.code_bytes();
  for (const uint8_t* p = panel + packed_offset(info, first); p < end; p += 64) __builtin_prefetch(p);
}

inline void prefetch_rows(const RowPanel& rows, size_t first, size_t n) {
  for (size_t r = 0; r < kPanelRows; ++r) {
    const uint8_t* p = rows.codes + r * rows.code_stride + first * rows.code_step;
    for (const uint8_t* end = p + n * rows.code_step; p < end + 63; p += 64) __builtin_prefetch(p);
  }
}

// Blocks of one panel of a packed layout, one after the other.
template <PackedLayout kLayout>
class PackedBlocks {
 public:
  static constexpr bool kInPlace = false;
  ATELIER_MEMBER_INLINE PackedBlocks(const PackedWeight& weight, size_t panel, size_t first)
      : table_(load_table(weight.format().table.data())),
        zero_point_(-static_cast<float>(weight.format().zero_point)),
        next_(weight.panel(panel) + packed_offset(Q::kInfo, first)) {
    enter_group();
    block_ = first % Q::kInfo.group_blocks;
    next_ += block_ * kCodeBytes;
  }
  // Asks for blocks [first, first + n).
  static void prefetch(const PackedWeight& weight, size_t panel, size_t first, size_t n) {
    prefetch_packed(Q::kInfo, weight.panel(panel), first, n);
  }

  ATELIER_MEMBER_INLINE void unpack_next(uint8_t* out) {
    if (block_ == Q::kInfo.group_blocks) {
      enter_group();
      block_ = 0;
    }
    Bytes w[8];
    load_codes<kLayout>(next_, table_, w);
    next_ += kCodeBytes;
#pragma GCC unroll 2
    for (int g = 0; g < Q::kGranules; ++g) {
      const Floats scale = quiet(load_scale<kLayout>(header_, block_, static_cast<size_t>(g), super_));
      Floats min;
      if constexpr (Q::kHasMin) {
        min = quiet(load_min<kLayout>(header_, block_, static_cast<size_t>(g), super_));
      } else {
        min = multiply(scale, set_floats(zero_point_));
      }
#pragma GCC unroll 8
      for (int j = g * Q::kQuads; j < (g + 1) * Q::kQuads; ++j)
        store_block_columns(out + 128 * j, w[j], scale, min);
    }
    ++block_;
  }

 private:
  using Q = Quant<kLayout>;
  static constexpr size_t kCodeBytes = Q::kInfo.code_bytes();

  ATELIER_MEMBER_INLINE void enter_group() {
    header_ = next_;
    super_ = super_scales<kLayout>(header_);
    next_ += Q::kInfo.header_bytes;
  }

  Table table_;
  float zero_point_;
  const uint8_t* next_;
  const uint8_t* header_;
  size_t block_;
  SuperScales super_;
};

// MXFP4 in bf16: a code's value is looked up as it stands, twice over (vpermw looks at five bits of its
// index), and the block's exponent is added to its own.
constexpr int16_t kMxfp4Bf16[16] = {0x0000,          0x3f00,          0x3f80,          0x3fc0,
                                    0x4000,          0x4040,          0x4080,          0x40c0,
                                    int16_t(0x8000), int16_t(0xbf00), int16_t(0xbf80), int16_t(0xbfc0),
                                    int16_t(0xc000), int16_t(0xc040), int16_t(0xc080), int16_t(0xc0c0)};
ATELIER_INLINE __m512i load_mxfp4_bf16() {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMxfp4Bf16)));
}
// Whether sums of a block's exponents and its codes' stay within bf16's range, for 16 rows.
ATELIER_INLINE bool exponents_fit(__m512i e) {
  return _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(e, _mm512_set1_epi32(4)), _mm512_set1_epi32(246)) == 0;
}
// e − 127 of 16 rows, where bf16 has its exponent, for both columns of a pair.
ATELIER_INLINE __m512i added_exponents(__m512i e) {
  const __m512i above = _mm512_sub_epi32(e, _mm512_set1_epi32(127));
  return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_slli_epi32(above, 7), _mm512_slli_epi32(above, 23));
}
// The values of codes in the low four bits of 16-bit lanes; zeros stay zero.
ATELIER_INLINE __m512i scale_codes(__m512i codes, __m512i table, __m512i exponents) {
  const __m512i values = _mm512_permutexvar_epi16(codes, table);
  return _mm512_mask_add_epi16(values, _mm512_test_epi16_mask(codes, _mm512_set1_epi16(7)), values,
                               exponents);
}

// One block of 16 rows, whose vector j holds bytes 4j … 4j + 3 of each row. kPairs: nibbles of a byte are
// neighbouring columns; otherwise columns i and i + 16.
template <bool kPairs>
ATELIER_INLINE void unpack_mxfp4(const Bytes (&v)[4], __m512i e, __m512i table, uint8_t* out) {
  const __m512i exponents = added_exponents(e);
  const auto put = [&](int pair, __m512i codes) {
    store_bytes(out + 64 * pair, scale_codes(codes, table, exponents));
  };
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    if constexpr (kPairs) {
      // A row's nibbles n0 … n7 become (n0, n1), (n2, n3), …: the odd one of each pair one nibble further on.
      const __m512i front = _mm512_mask_blend_epi16(0xaaaaaaaau, v[j], _mm512_slli_epi32(v[j], 12));
      const __m512i back =
          _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(v[j], 16), _mm512_srli_epi32(v[j], 4));
      put(4 * j, front);
      put(4 * j + 1, _mm512_srli_epi16(front, 8));
      put(4 * j + 2, back);
      put(4 * j + 3, _mm512_srli_epi16(back, 8));
    } else {
      // Bytes 0 2 1 3: the low bytes of both words are those of neighbouring columns, and so are the high
      // ones.
      const __m512i swapped = _mm512_shuffle_epi8(
          v[j], _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15)));
      put(2 * j, swapped);
      put(2 * j + 1, _mm512_srli_epi16(swapped, 8));
      put(2 * j + 8, _mm512_srli_epi16(swapped, 4));
      put(2 * j + 9, _mm512_srli_epi16(swapped, 12));
    }
  }
}

// The same where exponents leave bf16's range: through floats, as other formats.
template <bool kPairs>
__attribute__((noinline)) void unpack_mxfp4_wide(const Bytes (&v)[4], __m512i e, const PackedWeight& weight,
                                                 uint8_t* out) {
  const Table table = load_table(weight.format().table.data());
  const Floats scale = quiet(e8m0_half(e));
  const Floats min = multiply(scale, set_floats(-static_cast<float>(weight.format().zero_point)));
  Bytes w[8];
  for (int j = 0; j < 4; ++j) {
    if constexpr (kPairs) {
      look_up_pairs(v[j], table, w[2 * j], w[2 * j + 1]);
    } else {
      w[j] = look_up_low(v[j], table);
      w[j + 4] = look_up_high(v[j], table);
    }
  }
  for (int j = 0; j < 8; ++j) store_block_columns(out + 128 * j, w[j], scale, min);
}

// Blocks of one panel of MXFP4: rows that stay in place, or the packed panel of rows that fill none.
template <bool kPairs>
class Mxfp4Blocks {
 public:
  static constexpr bool kInPlace = false;
  ATELIER_MEMBER_INLINE Mxfp4Blocks(const PackedWeight& weight, size_t panel, size_t first)
      : weight_(&weight), table_(load_mxfp4_bf16()), block_(first) {
    if (panel >= weight.n_row_panels()) {
      packed_ = weight.panel(panel);
      return;
    }
    rows_ = weight.row_panel(panel);
    rows_.codes += first * rows_.code_step;
    rows_.scales += first * rows_.scale_step;
  }
  static void prefetch(const PackedWeight& weight, size_t panel, size_t first, size_t n) {
    if (panel >= weight.n_row_panels())
      return prefetch_packed(packed_layout_info(PackedLayout::kNibE8M0), weight.panel(panel), first, n);
    prefetch_rows(weight.row_panel(panel), first, n);
  }

  ATELIER_MEMBER_INLINE void unpack_next(uint8_t* out) {
    if (packed_ != nullptr) {
      unpack_packed(out);
    } else {
      const RowPointers codes(rows_.codes, rows_.code_stride);
      Bytes v[4];
      load_rows(codes, v);
      // Scales come four bytes at a time: at the end of a row, the last four.
      const size_t back = kPairs && block_ + 4 > weight_->n_blocks() ? block_ + 4 - weight_->n_blocks() : 0;
      unpack<kPairs>(v, exponent_of(load_four_scales(rows_.scales - back, rows_.scale_stride), back), out);
      rows_.codes += rows_.code_step;
      rows_.scales += rows_.scale_step;
    }
    ++block_;
  }

 private:
  template <bool kPairsOfColumns>
  ATELIER_MEMBER_INLINE void unpack(const Bytes (&v)[4], __m512i e, uint8_t* out) const {
    if (exponents_fit(e)) {
      unpack_mxfp4<kPairsOfColumns>(v, e, table_, out);
    } else {
      unpack_mxfp4_wide<kPairsOfColumns>(v, e, *weight_, out);
    }
  }
  // The layout has nibbles and columns as GGUF's rows have.
  __attribute__((noinline)) void unpack_packed(uint8_t* out) const {
    constexpr PackedLayoutInfo kInfo = packed_layout_info(PackedLayout::kNibE8M0);
    constexpr size_t kGroup = kInfo.group_blocks;
    const uint8_t* group = packed_ + block_ / kGroup * (kInfo.header_bytes + kGroup * kInfo.code_bytes());
    const uint8_t* codes = group + kInfo.header_bytes + block_ % kGroup * kInfo.code_bytes();
    Bytes v[4];
    for (int j = 0; j < 4; ++j) v[j] = load_bytes(codes + 64 * j);
    unpack<false>(v, _mm512_cvtepu8_epi32(load16(group + 16 * (block_ % kGroup))), out);
  }

  const PackedWeight* weight_;
  __m512i table_;
  const uint8_t* packed_ = nullptr;
  RowPanel rows_;
  size_t block_;
};

// Blocks of one panel of Q8_0: rows that stay in place, or the packed panel of rows that fill none.
class ByteBlocks {
 public:
  static constexpr bool kInPlace = false;
  ATELIER_MEMBER_INLINE ByteBlocks(const PackedWeight& weight, size_t panel, size_t first)
      : table_(load_table(weight.format().table.data())),
        zero_point_(-static_cast<float>(weight.format().zero_point)),
        block_(first) {
    if (panel >= weight.n_row_panels()) {
      packed_ = weight.panel(panel);
      return;
    }
    rows_ = weight.row_panel(panel);
    rows_.codes += first * rows_.code_step;
    rows_.scales += first * rows_.scale_step;
  }
  static void prefetch(const PackedWeight& weight, size_t panel, size_t first, size_t n) {
    if (panel >= weight.n_row_panels()) return prefetch_packed(kInfo, weight.panel(panel), first, n);
    prefetch_rows(weight.row_panel(panel), first, n);
  }

  ATELIER_MEMBER_INLINE void unpack_next(uint8_t* out) {
    if (packed_ != nullptr) {
      unpack_packed(out);
    } else {
      Bytes w[8];
      load_row_codes<PackedLayout::kRowsByteF16>(RowPointers(rows_.codes, rows_.code_stride), table_, w);
      store(w, f16_scale_of(load_four_scales(rows_.scales, rows_.scale_stride)), out);
      rows_.codes += rows_.code_step;
      rows_.scales += rows_.scale_step;
    }
    ++block_;
  }

 private:
  static constexpr PackedLayoutInfo kInfo = packed_layout_info(PackedLayout::kByteF16);

  ATELIER_MEMBER_INLINE void store(const Bytes (&w)[8], Floats stored_scale, uint8_t* out) const {
    const Floats scale = quiet(stored_scale), min = multiply(scale, set_floats(zero_point_));
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) store_block_columns(out + 128 * j, w[j], scale, min);
  }
  __attribute__((noinline)) void unpack_packed(uint8_t* out) const {
    const size_t in_group = block_ % kInfo.group_blocks;
    const uint8_t* header = packed_ + packed_offset(kInfo, block_);
    Bytes w[8];
    load_codes<PackedLayout::kByteF16>(header + kInfo.header_bytes + in_group * kInfo.code_bytes(), table_,
                                       w);
    store(w, load_f16(header + 32 * in_group), out);
  }

  Table table_;
  float zero_point_;
  const uint8_t* packed_ = nullptr;
  RowPanel rows_;
  size_t block_;
};

// BF16 panels are operands as they stand.
struct Bf16Blocks {
  static constexpr bool kInPlace = true;
  static const uint8_t* block(const PackedWeight& weight, size_t panel, size_t first) {
    return weight.panel(panel) + 2 * kTileValues * first;
  }
};
