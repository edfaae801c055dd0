// For code that is compiled once per instruction set.
#pragma once

// Small functions of vector code: inlined always, so that no vector crosses a call.
#define ATELIER_INLINE static inline __attribute__((always_inline))
