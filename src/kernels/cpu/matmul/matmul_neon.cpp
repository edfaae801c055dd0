// The matrix kernels for any ARMv8 processor.
#include "kernels/cpu/matmul/isa_tables.h"
#include "kernels/cpu/matmul/target-inl.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define ATELIER_NEON_DOT 0
#define ATELIER_NEON_USDOT 0

namespace atelier::matmul_neon {
#include "kernels/cpu/matmul/matmul_neon-inl.h"
}  // namespace atelier::matmul_neon

#endif  // __aarch64__
