// Kernels of the float layouts, written in the vectors of lanes_*-inl.h. Included inside a target region.

// Columns k and k + 1 of a panel; k is even. Past an odd end the second is not read (F32, F16) or is zero
// (BF16).
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_even(const uint8_t* panel, size_t k) {
  if constexpr (kLayout == PackedLayout::kF32)
    return load_floats(reinterpret_cast<const float*>(panel + 64 * k));
  if constexpr (kLayout == PackedLayout::kF16) return load_f16(panel + 32 * k);
  return load_bf16_even(panel + 32 * k);
}
template <PackedLayout kLayout>
ATELIER_INLINE Floats load_odd(const uint8_t* panel, size_t k) {
  if constexpr (kLayout == PackedLayout::kF32)
    return load_floats(reinterpret_cast<const float*>(panel + 64 * k + 64));
  if constexpr (kLayout == PackedLayout::kF16) return load_f16(panel + 32 * k + 32);
  return load_bf16_odd(panel + 32 * k);
}

template <PackedLayout kLayout, int kTokens>
void multiply_float(const uint8_t* panel, size_t cols, const float* x, size_t width, float* acc) {
  constexpr size_t kBytes = kLayout == PackedLayout::kF32 ? 64 : 32;
  Floats even[kTokens], odd[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    even[t] = load_floats(acc + 32 * t);
    odd[t] = load_floats(acc + 32 * t + 16);
  }
  size_t k = 0;
  for (; k + 2 <= cols; k += 2, x += 2 * width) {
    __builtin_prefetch(panel + kBytes * k + 2048);
    if constexpr (kBytes == 64) __builtin_prefetch(panel + kBytes * k + 2048 + 64);
    const Floats w0 = load_even<kLayout>(panel, k), w1 = load_odd<kLayout>(panel, k);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      even[t] = multiply_add(w0, set_floats(x[t]), even[t]);
      odd[t] = multiply_add(w1, set_floats(x[width + static_cast<size_t>(t)]), odd[t]);
    }
  }
  if (k < cols) {
    const Floats w0 = load_even<kLayout>(panel, k);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) even[t] = multiply_add(w0, set_floats(x[t]), even[t]);
  }
#pragma GCC unroll 16
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
  kernels.floats[1].unpack = unpack_float<kF16>;
  kernels.floats[2].unpack = unpack_float<kBF16>;
}
