// The matrix kernels for ARMv8 with SDOT and USDOT.
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__aarch64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")
#endif

#include <arm_neon.h>

#define ATELIER_NEON_DOT 1
#define ATELIER_NEON_USDOT 1

namespace atelier::matmul_i8mm {
#include "kernels/cpu/matmul/matmul_neon-inl.h"
}  // namespace atelier::matmul_i8mm

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __aarch64__
