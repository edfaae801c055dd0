// Products of several unpacked panels at once, for processors with registers for it. Included inside a target
// region, after quant-inl.h, whose arithmetic and order they share.

// One granule of kPanels panels at once: what is loaded of a token serves all of them.
template <bool kHasMin, int kQuads, int kPanels, int kTokens>
ATELIER_INLINE void add_joint_granule(Floats (&acc)[kPanels][kTokens], const uint8_t* const (&w)[kPanels],
                                      const int8_t* codes, const float* a_scales, const int32_t* aux,
                                      const float* const (&scales)[kPanels],
                                      const float* const (&mins)[kPanels]) {
  Ints sums[kPanels][kTokens];
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) {
    const Ints start = set_ints(kHasMin ? kSumBias : aux[t]);
    ATELIER_UNROLL_LANES
    for (int p = 0; p < kPanels; ++p) sums[p][t] = start;
  }
  ATELIER_UNROLL_LANES
  for (int j = 0; j < kQuads; ++j) {
    Bytes v[kPanels];
    ATELIER_UNROLL_LANES
    for (int p = 0; p < kPanels; ++p) v[p] = load_bytes(w[p] + 64 * j);
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) {
      const Ints quad = load_quad(codes + 32 * t + 4 * j);
      ATELIER_UNROLL_LANES
      for (int p = 0; p < kPanels; ++p) sums[p][t] = dot_quad(sums[p][t], v[p], quad);
    }
    keep_order();
  }
  ATELIER_UNROLL_LANES
  for (int p = 0; p < kPanels; ++p) {
    const ScaleOfSums by = scale_of_sums(load_floats(scales[p]));
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) {
      acc[p][t] = multiply_add(scaled(sums[p][t], by), set_floats(a_scales[t]), acc[p][t]);
      if constexpr (kHasMin)
        acc[p][t] = multiply_add(load_floats(mins[p]), set_floats(bits_as_float(aux[t])), acc[p][t]);
    }
  }
}

template <bool kHasMin, int kGranules>
void multiply_joint(const std::array<UnpackedBlocks, kJointPanels>& panels, const QuantArgs& x, float* out,
                    size_t stride, size_t n_tokens) {
  constexpr int kQuads = 8 / kGranules;
  constexpr int kPanels = kJointPanels, kTokens = kJointTokens;
  for (size_t first = 0; first < n_tokens; first += kTokens, out += 16 * kTokens) {
    Floats acc[kPanels][kTokens];
    ATELIER_UNROLL_LANES
    for (int p = 0; p < kPanels; ++p) ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) acc[p][t] = load_floats(out + static_cast<size_t>(p) * stride + 16 * t);
    const uint8_t* w[kPanels] = {panels[0].codes, panels[1].codes, panels[2].codes};
    const float* scales[kPanels] = {panels[0].scales, panels[1].scales, panels[2].scales};
    const float* mins[kPanels] = {panels[0].mins, panels[1].mins, panels[2].mins};
    const int8_t* codes = x.codes + 32 * first;
    const float* a_scales = x.scales + first;
    const int32_t* aux = x.aux + first;
    for (size_t b = 0; b < x.n_blocks; ++b) {
      ATELIER_UNROLL_LANES
      for (int g = 0; g < kGranules; ++g) {
        add_joint_granule<kHasMin, kQuads, kPanels, kTokens>(acc, w, codes + 4 * kQuads * g, a_scales, aux,
                                                             scales, mins);
        ATELIER_UNROLL_LANES
        for (int p = 0; p < kPanels; ++p) {
          w[p] += 64 * kQuads;
          scales[p] += 16;
          mins[p] += 16;
        }
        aux += kTokenTile;
      }
      codes += 32 * kTokenTile;
      a_scales += kTokenTile;
    }
    ATELIER_UNROLL_LANES
    for (int p = 0; p < kPanels; ++p) ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) store_floats(out + static_cast<size_t>(p) * stride + 16 * t, acc[p][t]);
  }
}

template <PackedLayout kLayout>
inline void set_joint_of(MatmulKernels& kernels) {
  using Q = Quant<kLayout>;
  kernels.quant[static_cast<size_t>(kLayout)].multiply_joint = multiply_joint<Q::kHasMin, Q::kGranules>;
}
// Before set_rows(), which copies what the packed layouts have.
inline void set_joint(MatmulKernels& kernels) {
  for_each_quant_layout([&]<PackedLayout kLayout>() { set_joint_of<kLayout>(kernels); });
}
