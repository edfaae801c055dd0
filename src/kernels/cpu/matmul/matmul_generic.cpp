// The matrix kernels for any processor.
#include "formats/float16.h"
#include "kernels/cpu/matmul/isa_tables.h"
// Vectors are arrays here, in memory: unrolling would only make the compiler work for a minute.
#define ATELIER_UNROLL_LANES
#include "kernels/cpu/matmul/target-inl.h"

namespace atelier::matmul_generic {
namespace {

constexpr int kTokensInRegisters = 2;
#include "kernels/cpu/matmul/row_pointers-inl.h"

#include "kernels/cpu/matmul/lanes_generic-inl.h"

#include "kernels/cpu/matmul/float-inl.h"
#include "kernels/cpu/matmul/quant-inl.h"
#include "kernels/cpu/matmul/rows-inl.h"

}  // namespace

void fill(MatmulKernels& kernels) {
  set_all_quant(kernels);
  set_rows<false>(kernels);
  set_all_float<2>(kernels);
}

}  // namespace atelier::matmul_generic
