// What each instruction set's file supplies; see matmul_kernels() for who gets which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cpu/matmul/matmul.h"

namespace atelier {
namespace matmul_generic {
void fill(MatmulKernels& kernels);
}
namespace matmul_avx2 {
void fill(MatmulKernels& kernels);
}
namespace matmul_avx512 {
void fill(MatmulKernels& kernels);
}
namespace matmul_amx {
void fill(MatmulKernels& kernels);  // replaces what tiles do better
}
// The levels of ARM.
namespace matmul_neon {
void fill(MatmulKernels& kernels);
}
namespace matmul_dotprod {
void fill(MatmulKernels& kernels);
}
namespace matmul_i8mm {
void fill(MatmulKernels& kernels);
}
namespace tiles_amx {
void fill(TileKernels& kernels);
}
}  // namespace atelier
