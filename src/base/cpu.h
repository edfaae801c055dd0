// Which instruction sets this processor has, and which one the kernels use.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace atelier {

// Ordered: each level includes all of its architecture before it. Kernels are written for some of them;
// dispatch takes the best ≤ the active one.
enum class Isa {
  kBaseline,  // x86-64-v2 (SSE4.2), or plain ARMv8
  // x86-64
  kAvx2,        // AVX2, FMA, F16C
  kAvx512,      // AVX-512 F, BW, DQ, VL, CD with VNNI and VBMI (Ice Lake, Zen 4)
  kAvx512Bf16,  // + AVX512-BF16 (Cooper Lake, Zen 4)
  kAmx,         // + AMX-TILE, AMX-INT8, AMX-BF16 (Sapphire Rapids), enabled by the kernel for this process
  // ARM
  kDotProd,  // SDOT (ARMv8.2, 2018)
  kI8mm,     // + USDOT (ARMv8.6, Neoverse V1 and N2)
};

// "baseline", "avx2", "avx512", "avx512bf16", "amx", "dotprod", "i8mm"
std::string_view isa_name(Isa isa);
Result<Isa> isa_from_name(std::string_view name);
// The levels of this architecture, ascending, whether this processor has them or not.
std::span<const Isa> isa_levels();

// The best level the processor and the operating system offer; asks the OS for AMX state on first use.
Isa detected_isa();

// detected_isa(), lowered by the environment variable ATELIER_ISA. Read once, at first use; tests may lower
// it further.
Isa active_isa();
// For tests of every path: returns false, changing nothing, if the processor lacks it.
bool set_active_isa(Isa isa);

}  // namespace atelier
