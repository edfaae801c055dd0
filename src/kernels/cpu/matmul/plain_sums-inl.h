// Integer sums that start from 0 and are converted. Included by each lanes_*-inl.h that has nothing better.

constexpr int32_t kSumBias = 0;
struct ScaleOfSums {
  Floats scale;
};
ATELIER_INLINE ScaleOfSums scale_of_sums(const Floats& scale) { return {scale}; }
// float(sum) · scale
ATELIER_INLINE Floats scaled(const Ints& sum, const ScaleOfSums& by) {
  return multiply(to_floats(sum), by.scale);
}
