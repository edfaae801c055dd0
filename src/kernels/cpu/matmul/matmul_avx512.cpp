// The matrix kernels for AVX-512 with VNNI and VBMI.
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c")
#endif

namespace atelier::matmul_avx512 {
namespace {

constexpr int kTokensInRegisters = 8;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_avx512-inl.h"

#include "kernels/cpu/matmul/float-inl.h"
#include "kernels/cpu/matmul/quant-inl.h"

#include "kernels/cpu/matmul/joint-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

}  // namespace

void fill(MatmulKernels& kernels) {
  set_all_quant(kernels);
  set_joint(kernels);
  set_rows<false>(kernels);
  set_all_float<12>(kernels);
}

}  // namespace atelier::matmul_avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
