#include "formats/float16.h"

#include <gtest/gtest.h>

#include <cmath>

namespace atelier {
namespace {

uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

// Everything rounding does is decided at the representable values and at the midpoints between neighbours.
template <uint16_t (*from_f32)(float), float (*to_f32)(uint16_t)>
void check_rounding(uint16_t infinity) {
  for (uint16_t h = 0; h + 1 < infinity; ++h) {
    const float low = to_f32(h), high = to_f32(static_cast<uint16_t>(h + 1));
    ASSERT_LT(low, high);
    ASSERT_EQ(from_f32(low), h);
    ASSERT_EQ(from_f32(-low), h | 0x8000);
    const double exact_middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    const auto middle = static_cast<float>(exact_middle);
    ASSERT_EQ(static_cast<double>(middle), exact_middle);  // both types leave float room for it
    const auto even = static_cast<uint16_t>(h + (h & 1));
    ASSERT_EQ(from_f32(middle), even) << h;
    ASSERT_EQ(from_f32(std::nextafterf(middle, 0.0f)), h) << h;
    ASSERT_EQ(from_f32(std::nextafterf(middle, INFINITY)), h + 1) << h;
    ASSERT_EQ(from_f32(-middle), even | 0x8000);
  }
  EXPECT_EQ(from_f32(to_f32(static_cast<uint16_t>(infinity - 1))), infinity - 1);
  EXPECT_EQ(from_f32(INFINITY), infinity);
  EXPECT_EQ(from_f32(-INFINITY), infinity | 0x8000);
}

TEST(Float16, RoundsToNearestEvenAtEveryBoundary) { check_rounding<f32_to_f16, f16_to_f32>(0x7c00); }
TEST(BFloat16, RoundsToNearestEvenAtEveryBoundary) { check_rounding<f32_to_bf16, bf16_to_f32>(0x7f80); }

TEST(Float16, OverflowsToInfinityAtHalfAStepPastTheLargest) {
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(Float16, KnownValues) {
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x03ff), 0x3ffp-24f);
  EXPECT_EQ(f16_to_f32(0xc000), -2.0f);
  EXPECT_EQ(bits_of(f16_to_f32(0x8000)), 0x80000000u);
  EXPECT_EQ(f16_to_f32(0x7c00), INFINITY);
  EXPECT_EQ(bf16_to_f32(0x3fc0), 1.5f);
}

TEST(Float16, NansStayNansKeepTheirSignAndBecomeQuiet) {
  for (unsigned h = 0x7c01; h < 0x8000; ++h) {
    const uint32_t wide = bits_of(f16_to_f32(static_cast<uint16_t>(h | 0x8000)));
    ASSERT_TRUE(std::isnan(std::bit_cast<float>(wide)));
    ASSERT_EQ(wide, 0xff800000u | 0x400000u | (h & 0x3ff) << 13);
    ASSERT_EQ(f32_to_f16(std::bit_cast<float>(wide)), h | 0x8200u);
  }
  // A payload that lives only in the low bits must not turn into infinity.
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u)), 0x7e00);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

TEST(E8m0, IsAPowerOfTwoForEveryCode) {
  for (int code = 0; code < 255; ++code) {
    EXPECT_EQ(e8m0_to_f32(static_cast<uint8_t>(code)), std::ldexp(1.0f, code - 127));
    EXPECT_EQ(e8m0_to_f32_half(static_cast<uint8_t>(code)), std::ldexp(1.0f, code - 128));
  }
  EXPECT_TRUE(std::isnan(e8m0_to_f32(255)));
  EXPECT_EQ(e8m0_to_f32_half(255), 0x1p127f);
}

}  // namespace
}  // namespace atelier
