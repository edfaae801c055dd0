// The matrix kernels for one level of NEON: included once per level, inside its target region, after
// ATELIER_NEON_DOT and ATELIER_NEON_USDOT say what it has, in a namespace of its own.

namespace {

constexpr int kTokensInRegisters = 4;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_neon-inl.h"

#include "kernels/cpu/matmul/float-inl.h"
#include "kernels/cpu/matmul/quant-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

}  // namespace

void fill(MatmulKernels& kernels) {
  set_all_quant(kernels);
  set_rows<false>(kernels);
  // 32 registers: three tokens' even and odd sums are 24, a pair of columns 8.
  set_all_float<3>(kernels);
}
