// Which Highway targets the vector bodies are compiled for, and which of them a level of base/cpu.h runs.
// Included first by every file with a vector body, before hwy/foreach_target.h, in this order:
//
//   #define HWY_TARGET_INCLUDE "kernels/cpu/norm/norm.cpp"  // this very file, re-included once per target
//   #include "kernels/cpu/simd_targets.h"
//   #include "hwy/foreach_target.h"
//   #include "hwy/highway.h"
//   #include "kernels/cpu/simd-inl.h"
//
//   Level           Highway target   Width   Instructions beyond the baseline
//   kBaseline       HWY_SSE4         4       none: the baseline is x86-64-v2
//   kAvx2           HWY_AVX2         8       AVX2, FMA, F16C, BMI2
//   kAvx512 and up  HWY_AVX3         16      AVX-512 F, BW, DQ, VL
//   other machines  the compiler's own baseline (NEON on ARMv8)
#pragma once

#include "base/cpu.h"

#if defined(__x86_64__)
// Highway's SSE4 otherwise asks for carry-less multiplication and AES, which x86-64-v2 does not have.
#define HWY_DISABLE_PCLMUL_AES
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)

// The body of `function` for the active level; a function of namespace N_SSE4, N_AVX2, N_AVX3.
#define ATELIER_SIMD(function)                      \
  (active_isa() >= Isa::kAvx512 ? &N_AVX3::function \
   : active_isa() >= Isa::kAvx2 ? &N_AVX2::function \
                                : &N_SSE4::function)
#else
#define HWY_COMPILE_ONLY_STATIC
#define ATELIER_SIMD(function) (&HWY_NAMESPACE::function)
#endif

// ATELIER_UNROLL unrolls the loop that follows completely: accumulators in arrays live in registers only
// then. ATELIER_UNROLL_4 unrolls it four times: counting and branching steal a port from every twelfth FMA
// otherwise.
#if defined(__clang__)
#define ATELIER_UNROLL _Pragma("clang loop unroll(full)")
#define ATELIER_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define ATELIER_UNROLL _Pragma("GCC unroll 16")
#define ATELIER_UNROLL_4 _Pragma("GCC unroll 4")
#endif
