// What tests of vector kernels share: every level present, inputs that are not trivial, poisoned padding,
// sentinels, and a comparison with a tolerance per element.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/mat_view.h"

namespace atelier::testing {

inline constexpr double kUlp = 0x1p-24;  // half a unit in the last place of float32, relative
inline constexpr float kSentinel = -1234.5f;

// Levels with a vector body of their own that this processor has.
inline std::vector<Isa> present_isas() {
  std::vector<Isa> present;
  for (const Isa isa : isa_levels())
    if (isa <= detected_isa() && (isa == Isa::kBaseline || isa == Isa::kAvx2 || isa == Isa::kAvx512))
      present.push_back(isa);
  return present;
}

// Runs at a level while it lives.
class ScopedIsa {
 public:
  explicit ScopedIsa(Isa isa) : before_(active_isa()) { EXPECT_TRUE(set_active_isa(isa)); }
  ~ScopedIsa() { set_active_isa(before_); }
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  Isa before_;
};

// 1 … 2·16 + 1: every remainder of every width; then real ones.
inline std::vector<size_t> odd_sizes() {
  std::vector<size_t> sizes;
  for (size_t n = 1; n <= 33; ++n) sizes.push_back(n);
  for (const size_t n : {63u, 65u, 127u, 129u, 576u, 2880u, 4099u}) sizes.push_back(n);
  return sizes;
}

// A matrix with 3 elements of padding behind each row; the padding of inputs is NaN, of outputs a sentinel.
class PaddedMat {
 public:
  static PaddedMat random(size_t rows, size_t cols, uint32_t seed, float spread = 1.0f, float mean = 0.0f) {
    PaddedMat mat(rows, cols, std::numeric_limits<float>::quiet_NaN());
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(mean, spread);
    for (size_t r = 0; r < rows; ++r)
      for (float& value : mat.view().row(r)) value = normal(engine);
    return mat;
  }
  static PaddedMat output(size_t rows, size_t cols) { return PaddedMat(rows, cols, kSentinel); }

  MatView<float> view() { return {data_.data(), rows_, cols_, cols_ + kPad}; }
  MatView<const float> view() const { return {data_.data(), rows_, cols_, cols_ + kPad}; }

  bool padding_is_intact() const {
    for (size_t r = 0; r < rows_; ++r)
      for (size_t i = 0; i < kPad; ++i) {
        const float value = data_[r * (cols_ + kPad) + cols_ + i];
        if (std::bit_cast<uint32_t>(value) != std::bit_cast<uint32_t>(fill_)) return false;
      }
    return true;
  }

 private:
  static constexpr size_t kPad = 3;
  PaddedMat(size_t rows, size_t cols, float fill)
      : rows_(rows), cols_(cols), fill_(fill), data_(rows * (cols + kPad), fill) {}
  size_t rows_, cols_;
  float fill_;
  std::vector<float> data_;
};

// |got − want| ≤ tolerance(r, c) for every element; NaN is never close.
template <class Tolerance>
::testing::AssertionResult close(MatView<const float> got, MatView<const float> want, Tolerance tolerance) {
  if (got.rows != want.rows || got.cols != want.cols) return ::testing::AssertionFailure() << "shapes differ";
  for (size_t r = 0; r < got.rows; ++r)
    for (size_t c = 0; c < got.cols; ++c) {
      const double allowed = tolerance(r, c);
      const double error = std::abs(double{got.row(r)[c]} - double{want.row(r)[c]});
      if (!(error <= allowed))
        return ::testing::AssertionFailure()
               << "[" << r << ", " << c << "]: got " << got.row(r)[c] << ", want " << want.row(r)[c]
               << ", error " << error << " > " << allowed;
    }
  return ::testing::AssertionSuccess();
}

// Within `ulps` half-units of the wanted value.
inline ::testing::AssertionResult close_relative(MatView<const float> got, MatView<const float> want,
                                                 double ulps, double absolute = 0) {
  return close(got, want,
               [&](size_t r, size_t c) { return ulps * kUlp * std::abs(double{want.row(r)[c]}) + absolute; });
}

inline ::testing::AssertionResult bit_equal(MatView<const float> a, MatView<const float> b) {
  if (a.rows != b.rows || a.cols != b.cols) return ::testing::AssertionFailure() << "shapes differ";
  for (size_t r = 0; r < a.rows; ++r)
    for (size_t c = 0; c < a.cols; ++c)
      if (std::bit_cast<uint32_t>(a.row(r)[c]) != std::bit_cast<uint32_t>(b.row(r)[c]))
        return ::testing::AssertionFailure()
               << "[" << r << ", " << c << "]: " << a.row(r)[c] << " and " << b.row(r)[c];
  return ::testing::AssertionSuccess();
}

}  // namespace atelier::testing
