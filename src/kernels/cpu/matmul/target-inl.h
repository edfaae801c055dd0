// For code that is compiled once per instruction set.
#pragma once

// Small functions of vector code: inlined always, so that no vector crosses a call.
#define ATELIER_INLINE static inline __attribute__((always_inline))
// The same for member functions.
#define ATELIER_MEMBER_INLINE inline __attribute__((always_inline))

// Loops over the vectors of a block and the tokens of a tile, which stand in registers: unrolled, unless an
// instruction set has no registers for them (matmul_generic.cpp).
#ifndef ATELIER_UNROLL_LANES
#define ATELIER_UNROLL_LANES _Pragma("GCC unroll 16")
#endif
