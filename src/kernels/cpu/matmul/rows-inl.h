// Kernels of MXFP4 and Q8_0 rows that stay in place. Included inside a target region, after quant-inl.h,
// whose arithmetic and order they share: results are those of the packed layout, bit for bit.

// What is particular to the rows of a layout.
template <PackedLayout kLayout>
struct Rows {
  static constexpr bool kPairs = kLayout == PackedLayout::kRowsE8M0Pairs;
  static constexpr bool kBytes = kLayout == PackedLayout::kRowsByteF16;
  // Of rows that fill no panel.
  static constexpr PackedLayout kPacked = kBytes ? PackedLayout::kByteF16 : PackedLayout::kNibE8M0;
  // Blocks whose codes lie on one cache line: 4 · 16 bytes, 3 · 17 or 34.
  static constexpr size_t kLineBlocks = kPairs ? 4 : kBytes ? 1 : 3;
};

// The code vectors of one block of 16 rows.
template <PackedLayout kLayout>
ATELIER_INLINE void load_row_codes(const RowPointers& rows, const Table& table, Bytes (&w)[8]) {
  Bytes v[4];  // vector j: bytes 4j … 4j + 3 of each row
  load_rows(rows, v);
  if constexpr (Rows<kLayout>::kBytes) {
    Bytes upper[4];
    RowPointers second = rows;
    second.advance(16);
    load_rows(second, upper);
    constexpr uint8_t kZeroPoint = 128;  // of unsigned codes: int8 values and it differ in the top bit only
    ATELIER_UNROLL_LANES
    for (int j = 0; j < 4; ++j) {
      w[j] = subtract_bytes(v[j], kZeroPoint);
      w[j + 4] = subtract_bytes(upper[j], kZeroPoint);
    }
    return;
  }
  ATELIER_UNROLL_LANES
  for (int j = 0; j < 4; ++j) {
    if constexpr (Rows<kLayout>::kPairs) {
      look_up_pairs(v[j], table, w[2 * j], w[2 * j + 1]);
    } else {
      w[j] = look_up_low(v[j], table);
      w[j + 4] = look_up_high(v[j], table);
    }
  }
}

// Walks the blocks of a panel [first, last), calling on_block(codes as vectors, scales) for each. Meanwhile
// asks for the next panel's lines, which are tens of KiB ahead and so go to L2: the 16 rows stand on as many
// streams, too many for the processor to foresee.
template <PackedLayout kLayout, class OnBlock>
ATELIER_INLINE void for_each_row_block(const PackedWeight& weight, size_t panel, size_t first, size_t last,
                                       const Table& table, OnBlock&& on_block) {
  using R = Rows<kLayout>;
  const RowPanel rows = weight.row_panel(panel);
  RowPointers codes(rows.codes + first * rows.code_step, rows.code_stride);
  const size_t to_next = panel + 1 < weight.n_row_panels() ? kPanelRows * rows.code_stride : 0;
  const uint8_t* scales = rows.scales + first * rows.scale_step;
  for (size_t b = first; b < last;) {
    codes.prefetch(to_next);
    const size_t end = b + R::kLineBlocks < last ? b + R::kLineBlocks : last;
    FourScales four;
    // Scales come four bytes at a time: at the end of a row, the last four.
    const size_t back = R::kPairs && b + 4 > weight.n_blocks() ? b + 4 - weight.n_blocks() : 0;
    if constexpr (R::kPairs) four = load_four_scales(scales - back, rows.scale_stride);
    for (size_t i = back; b < end; ++b, ++i) {
      if constexpr (!R::kPairs) four = load_four_scales(scales, rows.scale_stride);
      Bytes w[8];
      load_row_codes<kLayout>(codes, table, w);
      if constexpr (R::kBytes) {
        on_block(w, f16_scale_of(four));
      } else {
        on_block(w, scale_of(four, R::kPairs ? i : 0));
      }
      codes.advance(rows.code_step);
      scales += rows.scale_step;
    }
  }
}

template <PackedLayout kLayout, int kTokens>
void multiply_rows(const PackedWeight& weight, size_t first_panel, size_t n_panels, const QuantArgs& x,
                   float* out) {
  constexpr PackedLayout kPacked = Rows<kLayout>::kPacked;
  const Table table = load_table(weight.format().table.data());
  for (size_t panel = first_panel; panel < first_panel + n_panels; ++panel, out += 16 * kTokens) {
    if (panel >= weight.n_row_panels()) {
      multiply_packed<kPacked, kTokens>(weight, panel, 1, x, out);
      continue;
    }
    Floats acc[kTokens];
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) acc[t] = set_floats(0);
    QuantArgs at = x;
    for_each_row_block<kLayout>(weight, panel, 0, x.n_blocks, table,
                                [&](const Bytes(&w)[8], const Floats& scale) {
                                  add_granule<false, Quant<kPacked>::kWide, 8, kTokens>(
                                      acc, InRegisters{w}, at.codes, at.scales, at.aux, scale, scale);
                                  at.codes += 32 * kTokens;
                                  at.scales += kTokens;
                                  at.aux += kTokens;
                                });
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) store_floats(out + 16 * t, acc[t]);
  }
}

template <PackedLayout kLayout, bool kSigned>
void unpack_rows(const PackedWeight& weight, size_t panel, size_t first_block, size_t n_blocks,
                 const UnpackedBlocks& out) {
  if (panel >= weight.n_row_panels())
    return unpack<Rows<kLayout>::kPacked, kSigned>(weight, panel, first_block, n_blocks, out);
  const PackedFormat& format = weight.format();
  const Table table = load_table(format.table.data());
  uint8_t* codes = out.codes;
  float* scales = out.scales;
  for_each_row_block<kLayout>(weight, panel, first_block, first_block + n_blocks, table,
                              [&](const Bytes(&w)[8], const Floats& scale) {
                                ATELIER_UNROLL_LANES
                                for (int j = 0; j < 8; ++j, codes += 64)
                                  store_bytes(codes,
                                              kSigned ? subtract_bytes(w[j], format.zero_point) : w[j]);
                                store_floats(scales, scale);
                                scales += 16;
                              });
}

// Comes after the packed layout has its kernels: many tokens share them. kSigned as in unpack().
template <PackedLayout kLayout, bool kSigned>
inline void set_rows_of(MatmulKernels& kernels) {
  QuantKernels& k = kernels.quant[static_cast<size_t>(kLayout)];
  k = kernels.quant[static_cast<size_t>(Rows<kLayout>::kPacked)];
  k.multiply = {multiply_rows<kLayout, 1>, multiply_rows<kLayout, 2>, multiply_rows<kLayout, 4>,
                multiply_rows<kLayout, 8>};
  k.unpack = unpack_rows<kLayout, kSigned>;
}
template <bool kSigned>
inline void set_rows(MatmulKernels& kernels) {
  set_rows_of<PackedLayout::kRowsE8M0, kSigned>(kernels);
  set_rows_of<PackedLayout::kRowsE8M0Pairs, kSigned>(kernels);
  set_rows_of<PackedLayout::kRowsByteF16, kSigned>(kernels);
}
