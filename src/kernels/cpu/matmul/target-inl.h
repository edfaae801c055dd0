// Macros for code that is compiled once per instruction set.
#pragma once

// Small functions of vector code: inlined always, so that no vector crosses a call.
#define ATELIER_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define ATELIER_UNROLL _Pragma("unroll")
#else
#define ATELIER_UNROLL _Pragma("GCC unroll 16")
#endif
