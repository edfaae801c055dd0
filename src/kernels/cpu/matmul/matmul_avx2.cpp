// The matrix kernels for AVX2 with FMA and F16C.
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,tune=haswell"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,tune=haswell")
#endif

namespace atelier::matmul_avx2 {
namespace {

constexpr int kTokensInRegisters = 4;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_avx2-inl.h"

#include "kernels/cpu/matmul/float-inl.h"
#include "kernels/cpu/matmul/quant-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

}  // namespace

void fill(MatmulKernels& kernels) {
  set_all_quant(kernels);
  set_rows<false>(kernels);
  set_all_float<3>(kernels);
}

}  // namespace atelier::matmul_avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
