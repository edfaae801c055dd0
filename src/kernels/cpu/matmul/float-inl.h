// Kernels of the float layouts, written in the vectors of lanes_*-inl.h. Included inside a target region.

// Bytes of a column of 16 weights.
template <PackedLayout kLayout>
constexpr size_t float_bytes = kLayout == PackedLayout::kF32  ? 64
                               : kLayout == PackedLayout::kF8 ? 16
                                                              : 32;

// Columns k and k + 1 of a panel (F8: of a group, its codes alone, not scaled yet); k is even. Past an odd
// end the second is not read (F32, F16, F8) or is zero (BF16).
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_even(const uint8_t* panel, size_t k) {
  if constexpr (kLayout == PackedLayout::kF32)
    return load_floats(reinterpret_cast<const float*>(panel + 64 * k));
  if constexpr (kLayout == PackedLayout::kF16) return load_f16(panel + 32 * k);
  if constexpr (kLayout == PackedLayout::kF8) return load_f8(panel + 16 * k);
  return load_bf16_even(panel + 32 * k);
}
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_odd(const uint8_t* panel, size_t k) {
  if constexpr (kLayout == PackedLayout::kF32)
    return load_floats(reinterpret_cast<const float*>(panel + 64 * k + 64));
  if constexpr (kLayout == PackedLayout::kF16) return load_f16(panel + 32 * k + 32);
  if constexpr (kLayout == PackedLayout::kF8) return load_f8(panel + 16 * k + 16);
  return load_bf16_odd(panel + 32 * k);
}

// acc += columns × tokens. `scale` multiplies the weights of F8, and no others.
template <PackedLayout kLayout, int kTokens>
ATELIER_INLINE void add_columns(const uint8_t* panel, size_t cols, const float* x, size_t width,
                                const Floats& scale, Floats (&even)[kTokens], Floats (&odd)[kTokens]) {
  constexpr size_t kBytes = float_bytes<kLayout>;
  const auto scaled = [&](const Floats& w) __attribute__((always_inline)) {
    if constexpr (kLayout == PackedLayout::kF8) return multiply(w, scale);
    return w;
  };
  size_t k = 0;
  for (; k + 2 <= cols; k += 2, x += 2 * width) {
    __builtin_prefetch(panel + kBytes * k + 2048);
    if constexpr (kBytes == 64) __builtin_prefetch(panel + kBytes * k + 2048 + 64);
    const Floats w0 = scaled(load_even<kLayout>(panel, k)), w1 = scaled(load_odd<kLayout>(panel, k));
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) {
      even[t] = multiply_add(w0, set_floats(x[t]), even[t]);
      odd[t] = multiply_add(w1, set_floats(x[width + static_cast<size_t>(t)]), odd[t]);
    }
  }
  if (k < cols) {
    const Floats w0 = scaled(load_even<kLayout>(panel, k));
    ATELIER_UNROLL_LANES
    for (int t = 0; t < kTokens; ++t) even[t] = multiply_add(w0, set_floats(x[t]), even[t]);
  }
}

template <PackedLayout kLayout, int kTokens>
void multiply_float(const uint8_t* panel, size_t cols, const float* x, size_t width, float* acc) {
  Floats even[kTokens], odd[kTokens];
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) {
    even[t] = load_floats(acc + 32 * t);
    odd[t] = load_floats(acc + 32 * t + 16);
  }
  if constexpr (kLayout == PackedLayout::kF8) {
    for (size_t first = 0; first < cols; first += kF8GroupCols, panel += kF8GroupBytes) {
      const size_t n = cols - first < kF8GroupCols ? cols - first : kF8GroupCols;
      add_columns<kLayout, kTokens>(panel + kF8HeaderBytes, n, x + first * width, width,
                                    load_floats(reinterpret_cast<const float*>(panel)), even, odd);
    }
  } else {
    add_columns<kLayout, kTokens>(panel, cols, x, width, even[0], even, odd);
  }
  ATELIER_UNROLL_LANES
  for (int t = 0; t < kTokens; ++t) {
    store_floats(acc + 32 * t, even[t]);
    store_floats(acc + 32 * t + 16, odd[t]);
  }
}

template <PackedLayout kLayout>
void unpack_float(const uint8_t* panel, size_t first, size_t n, float* out) {
  for (size_t k = first; k < first + n; k += 2, out += 32) {
    store_floats(out, load_even<kLayout>(panel, k));
    if (k + 1 < first + n) store_floats(out + 16, load_odd<kLayout>(panel, k));
  }
}
// `first` begins a group.
inline void unpack_f8(const uint8_t* panel, size_t first, size_t n, float* out) {
  const uint8_t* group = panel + first / kF8GroupCols * kF8GroupBytes;
  for (size_t k = 0; k < n; ++k, out += 16) {
    if (k > 0 && k % kF8GroupCols == 0) group += kF8GroupBytes;
    const Floats scale = load_floats(reinterpret_cast<const float*>(group));
    store_floats(out, multiply(load_f8(group + kF8HeaderBytes + 16 * (k % kF8GroupCols)), scale));
  }
}

template <PackedLayout kLayout, int kTokens>
inline void set_multiply_float(FloatKernels& kernels) {
  kernels.multiply[kTokens - 1] = multiply_float<kLayout, kTokens>;
  if constexpr (kTokens > 1) set_multiply_float<kLayout, kTokens - 1>(kernels);
}
// kMost: tokens whose accumulators fit into registers beside the weights.
template <int kMost>
inline void set_all_float(MatmulKernels& kernels) {
  using enum PackedLayout;
  kernels.max_float_tokens = kMost;
  constexpr int kDirect = kMost < 4 ? kMost : 4;
  set_multiply_float<kF32, kMost>(kernels.floats[0]);
  set_multiply_float<kF16, kDirect>(kernels.floats[1]);
  set_multiply_float<kBF16, kDirect>(kernels.floats[2]);
  set_multiply_float<kF8, kDirect>(kernels.floats[3]);
  kernels.floats[1].unpack = unpack_float<kF16>;
  kernels.floats[2].unpack = unpack_float<kBF16>;
  kernels.floats[3].unpack = unpack_f8;
}
