// Kernels of MXFP4 rows that stay in place. Included inside a target region, after quant-inl.h, whose
// arithmetic and order they share: results are those of the packed layout, bit for bit.

// The code vectors of one block of 16 rows. kPairs: nibbles of a byte are neighbouring columns.
template <bool kPairs>
ATELIER_INLINE void load_row_codes(const RowPointers& rows, const Table& table, Bytes (&w)[8]) {
  Bytes v[4];  // vector j: bytes 4j … 4j + 3 of each row
  load_rows(rows, v);
  ATELIER_UNROLL_LANES
  for (int j = 0; j < 4; ++j) {
    if constexpr (kPairs) {
      look_up_pairs(v[j], table, w[2 * j], w[2 * j + 1]);
    } else {
      w[j] = look_up_low(v[j], table);
      w[j + 4] = look_up_high(v[j], table);
    }
  }
}

// Blocks whose codes lie on about one cache line: 4 · 16 bytes, or 3 · 17.
template <bool kPairs>
constexpr size_t kLineBlocks = kPairs ? 4 : 3;

// Walks the blocks of a panel [first, last), calling on_block(codes as vectors, scales) for each. Meanwhile
// asks for the next panel's lines, which are 24 KiB ahead and so go to L2: the 16 rows stand on as many
// streams, too many for the processor to foresee.
template <bool kPairs, class OnBlock>
ATELIER_INLINE void for_each_row_block(const PackedWeight& weight, size_t panel, size_t first, size_t last,
                                       const Table& table, OnBlock&& on_block) {
  const RowPanel rows = weight.row_panel(panel);
  RowPointers codes(rows.codes + first * rows.code_step, rows.code_stride);
  const size_t to_next = panel + 1 < weight.n_row_panels() ? kPanelRows * rows.code_stride : 0;
  const uint8_t* scales = rows.scales + first * rows.scale_step;
  for (size_t b = first; b < last;) {
    codes.prefetch(to_next);
    const size_t end = b + kLineBlocks<kPairs> < last ? b + kLineBlocks<kPairs> : last;
    FourScales four;
    // Scales come four bytes at a time: at the end of a row, the last four.
    const size_t back = kPairs && b + 4 > weight.n_blocks() ? b + 4 - weight.n_blocks() : 0;
    if constexpr (kPairs) four = load_four_scales(scales - back, rows.scale_stride);
    for (size_t i = back; b < end; ++b, ++i) {
      if constexpr (!kPairs) four = load_four_scales(scales, rows.scale_stride);
      Bytes w[8];
      load_row_codes<kPairs>(codes, table, w);
      on_block(w, scale_of(four, kPairs ? i : 0));
      codes.advance(rows.code_step);
      scales += rows.scale_step;
    }
  }
}

template <bool kPairs, int kTokens>
void multiply_rows(const PackedWeight& weight, size_t first_panel, size_t n_panels, const QuantArgs& x,
                   float* out) {
  const Table table = load_table(weight.format().table.data());
  for (size_t panel = first_panel; panel < first_panel + n_panels; ++panel, out += 16 * kTokens) {
    if (panel >= weight.n_row_panels()) {
      multiply_packed<PackedLayout::kNibE8M0, kTokens>(weight, panel, 1, x, out);
      continue;
    }
    Floats acc[kTokens];
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) acc[t] = set_floats(0);
    QuantArgs at = x;
    for_each_row_block<kPairs>(weight, panel, 0, x.n_blocks, table,
                               [&](const Bytes(&w)[8], const Floats& scale) {
                                 add_granule<false, false, 8, kTokens>(acc, InRegisters{w}, at.codes,
                                                                       at.scales, at.aux, scale, scale);
                                 at.codes += 32 * kTokens;
                                 at.scales += kTokens;
                                 at.aux += kTokens;
                               });
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) store_floats(out + 16 * t, acc[t]);
  }
}

template <bool kPairs, bool kSigned>
void unpack_rows(const PackedWeight& weight, size_t panel, size_t first_block, size_t n_blocks,
                 const UnpackedBlocks& out) {
  if (panel >= weight.n_row_panels())
    return unpack<PackedLayout::kNibE8M0, kSigned>(weight, panel, first_block, n_blocks, out);
  const PackedFormat& format = weight.format();
  const Table table = load_table(format.table.data());
  uint8_t* codes = out.codes;
  float* scales = out.scales;
  for_each_row_block<kPairs>(weight, panel, first_block, first_block + n_blocks, table,
                             [&](const Bytes(&w)[8], const Floats& scale) {
                               ATELIER_UNROLL_LANES
                               for (int j = 0; j < 8; ++j, codes += 64)
                                 store_bytes(codes, kSigned ? subtract_bytes(w[j], format.zero_point) : w[j]);
                               store_floats(scales, scale);
                               scales += 16;
                             });
}

// Comes after the packed layout has its kernels: many tokens share them. kSigned as in unpack().
template <bool kPairs, bool kSigned>
inline void set_rows_of(MatmulKernels& kernels) {
  QuantKernels& k =
      kernels.quant[static_cast<size_t>(kPairs ? PackedLayout::kRowsE8M0Pairs : PackedLayout::kRowsE8M0)];
  k = kernels.quant[static_cast<size_t>(PackedLayout::kNibE8M0)];
  k.multiply = {multiply_rows<kPairs, 1>, multiply_rows<kPairs, 2>, multiply_rows<kPairs, 4>,
                multiply_rows<kPairs, 8>};
  k.unpack = unpack_rows<kPairs, kSigned>;
}
template <bool kSigned>
inline void set_rows(MatmulKernels& kernels) {
  set_rows_of<false, kSigned>(kernels);
  set_rows_of<true, kSigned>(kernels);
}
