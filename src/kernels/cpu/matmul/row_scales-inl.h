// The scales of 16 rows that are read side by side, taken one by one from where they stand. Included inside a
// target region by each lanes_*-inl.h whose processors gain nothing from a gather.

// Four bytes at p + r · stride for each of 16 rows; the E8M0 scales in one of them, halved.
struct FourScales {
  const uint8_t* p;
  size_t stride;
};
ATELIER_INLINE FourScales load_four_scales(const uint8_t* p, size_t stride) { return {p, stride}; }
ATELIER_INLINE Floats scale_of(FourScales four, size_t byte) {
  alignas(16) uint8_t scales[16];
#pragma GCC unroll 16
  for (size_t r = 0; r < 16; ++r) scales[r] = four.p[r * four.stride + byte];
  return load_e8m0_half(scales);
}
// The f16 scales in the first two bytes.
ATELIER_INLINE Floats f16_scale_of(FourScales four) {
  alignas(16) uint8_t scales[32];
#pragma GCC unroll 16
  for (size_t r = 0; r < 16; ++r) __builtin_memcpy(scales + 2 * r, four.p + r * four.stride, 2);
  return load_f16(scales);
}
