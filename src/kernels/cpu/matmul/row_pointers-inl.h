// Where 16 rows stand that are read side by side. Included before lanes_*-inl.h.

// Rows r, r + 4, r + 8 and r + 12 are reached from four pointers and two distances, which is what fits
// registers.
struct RowPointers {
  const uint8_t* row[4];
  size_t stride4, stride12;

  __attribute__((always_inline)) RowPointers(const uint8_t* p, size_t stride)
      : row{p, p + stride, p + 2 * stride, p + 3 * stride}, stride4(4 * stride), stride12(12 * stride) {
    hide();
  }
  __attribute__((always_inline)) void advance(size_t bytes) {
#pragma GCC unroll 4
    for (const uint8_t*& p : row) p += bytes;
    hide();
  }
  // Asks for the lines `ahead` bytes on; nothing for 0.
  __attribute__((always_inline)) void prefetch(size_t ahead) const {
    if (ahead == 0) return;
#pragma GCC unroll 4
    for (const uint8_t* p : row) {
      const uint8_t* next = p + ahead;
      __builtin_prefetch(next, 0, 2);
      __builtin_prefetch(next + stride4, 0, 2);
      __builtin_prefetch(next + 2 * stride4, 0, 2);
      __builtin_prefetch(next + stride12, 0, 2);
    }
  }

 private:
  // Left to itself the compiler keeps sixteen offsets on the stack instead.
  __attribute__((always_inline)) void hide() {
#if defined(__x86_64__)
    __asm__("" : "+r"(row[0]), "+r"(row[1]), "+r"(row[2]), "+r"(row[3]), "+r"(stride4), "+r"(stride12));
#endif
  }
};
