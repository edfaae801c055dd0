// The comparisons themselves must be able to fail.
#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

TEST(VectorTest, CloseFailsOnOneWrongElement) {
  PaddedMat a = PaddedMat::random(3, 5, 1);
  PaddedMat b = a;
  EXPECT_TRUE(close_relative(a.view(), b.view(), 0));
  b.view().row(2)[4] *= 1.001f;
  EXPECT_FALSE(close_relative(a.view(), b.view(), 100));
  EXPECT_FALSE(bit_equal(a.view(), b.view()));
}

TEST(VectorTest, CloseFailsOnNan) {
  PaddedMat a = PaddedMat::random(1, 4, 2);
  PaddedMat b = a;
  a.view().row(0)[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(close_relative(a.view(), b.view(), 1e9));
  EXPECT_FALSE(close_relative(b.view(), a.view(), 1e9));
}

TEST(VectorTest, BitEqualTellsSignsOfZeroApart) {
  PaddedMat a = PaddedMat::output(1, 1), b = PaddedMat::output(1, 1);
  a.view().row(0)[0] = 0.0f;
  b.view().row(0)[0] = -0.0f;
  EXPECT_FALSE(bit_equal(a.view(), b.view()));
}

TEST(VectorTest, PaddingNoticesAWrite) {
  PaddedMat out = PaddedMat::output(2, 3);
  EXPECT_TRUE(out.padding_is_intact());
  out.view().data[3] = 0;
  EXPECT_FALSE(out.padding_is_intact());
}

}  // namespace
}  // namespace atelier::testing
