// What the tests of matrix products share: formats to walk, matrices whose padding is watched, instruction
// sets.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/mat_view.h"
#include "formats/dtype.h"

namespace atelier::testing_linear {

inline constexpr float kSentinel = -777.25f;

struct Format {
  DType dtype;
  bool split = false;
  size_t cols = 0;  // two whole groups and a bit, where the format allows it
};
inline const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {DType::kF32, false, 523},   {DType::kF16, false, 259},    {DType::kBF16, false, 521},
      {DType::kQ8_0, false, 608},  {DType::kQ4_0, false, 608},   {DType::kQ4_1, false, 608},
      {DType::kQ5_0, false, 608},  {DType::kQ5_1, false, 608},   {DType::kQ2_K, false, 768},
      {DType::kQ3_K, false, 768},  {DType::kQ4_K, false, 768},   {DType::kQ5_K, false, 768},
      {DType::kQ6_K, false, 768},  {DType::kIQ4_NL, false, 608}, {DType::kIQ4_XS, false, 768},
      {DType::kMXFP4, false, 608}, {DType::kMXFP4, true, 608},   {DType::kF8E4M3, false, 523},
  };
  return all;
}
inline std::string format_name(const Format& format) {
  std::string name(dtype_info(format.dtype).name);
  return format.split ? name + "_split" : name;
}

inline std::vector<Isa> isas() {
  std::vector<Isa> present;
  for (const Isa isa : isa_levels())
    if (isa <= detected_isa()) present.push_back(isa);
  return present;
}
class IsaScope {
 public:
  explicit IsaScope(Isa isa) : before_(active_isa()) { EXPECT_TRUE(set_active_isa(isa)); }
  ~IsaScope() { set_active_isa(before_); }

 private:
  Isa before_;
};

// A matrix whose rows are followed by values that must be neither read (NaN) nor written (sentinel).
struct Matrix {
  Matrix(size_t rows, size_t cols, float padding) : stride(cols + 5), values(rows * stride, padding) {
    view = {values.data(), rows, cols, stride};
  }
  size_t stride;
  std::vector<float> values;
  MatView<float> view;
};

inline Matrix random_activations(size_t rows, size_t cols, uint32_t seed) {
  Matrix x(rows, cols, std::numeric_limits<float>::quiet_NaN());
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.1f, 1.0f);
  for (size_t r = 0; r < rows; ++r)
    for (float& v : x.view.row(r)) v = normal(rng) * (rng() % 50 == 0 ? 8.0f : 1.0f);
  return x;
}

inline bool padding_untouched(const Matrix& m) {
  for (size_t r = 0; r < m.view.rows; ++r)
    for (size_t c = m.view.cols; c < m.stride; ++c)
      if (m.values[r * m.stride + c] != kSentinel) return false;
  return true;
}

inline bool same_bits(MatView<const float> a, MatView<const float> b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (size_t r = 0; r < a.rows; ++r)
    for (size_t c = 0; c < a.cols; ++c)
      if (std::bit_cast<uint32_t>(a.row(r)[c]) != std::bit_cast<uint32_t>(b.row(r)[c])) return false;
  return true;
}

}  // namespace atelier::testing_linear
