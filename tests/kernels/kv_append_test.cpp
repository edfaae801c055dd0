#include "kernels/cpu/attention/kv_append.h"

#include <algorithm>

#include "formats/float16.h"
#include "tests/kernels/vector_test.h"

namespace atelier::testing {
namespace {

constexpr std::byte kUntouched{0xa5};

using Append = void (*)(const KvGeometry&, MatView<const float>, MatView<const float>, size_t, size_t,
                        std::byte*, size_t);

std::vector<std::byte> append(Append fn, const KvGeometry& kv, const PaddedMat& k, const PaddedMat& v,
                              size_t first_slot) {
  std::vector<std::byte> page(kv.page_bytes() + 64, kUntouched);
  fn(kv, k.view(), v.view(), 0, kv.kv_heads, page.data(), first_slot);
  return page;
}

TEST(KvAppend, EveryLevelWritesWhatTheReferenceWrites) {
  for (const KvType type : {KvType::kF16, KvType::kF32, KvType::k8}) {
    for (const size_t k_dim : {1u, 7u, 16u, 31u, 33u, 64u, 80u}) {
      const KvGeometry kv{.kv_heads = 2, .k_dim = k_dim, .v_dim = k_dim + 3, .type = type};
      for (const size_t n : {1u, 2u, 5u, 64u}) {
        for (const size_t slot : {size_t{0}, size_t{64 - n}}) {
          SCOPED_TRACE(::testing::Message() << "k_dim " << k_dim << " n " << n << " slot " << slot);
          const PaddedMat k = PaddedMat::random(n, 2 * k_dim, 1), v = PaddedMat::random(n, 2 * kv.v_dim, 2);
          const std::vector<std::byte> want = append(kernels::kv_append_ref, kv, k, v, slot);
          for (const Isa isa : present_isas()) {
            const ScopedIsa scoped(isa);
            ASSERT_TRUE(append(kernels::kv_append, kv, k, v, slot) == want) << isa_name(isa);
          }
        }
      }
    }
  }
}

// Where elements go, by the definition in kv_page.h; other slots keep what they held.
TEST(KvAppend, ReferenceFollowsTheLayout) {
  const KvGeometry kv{.kv_heads = 2, .k_dim = 3, .v_dim = 2, .type = KvType::kF32};
  const PaddedMat k = PaddedMat::random(2, 6, 1), v = PaddedMat::random(2, 4, 2);
  const std::vector<std::byte> page = append(kernels::kv_append_ref, kv, k, v, 10);
  const float* floats = reinterpret_cast<const float*>(page.data());
  size_t written = 0;
  for (size_t i = 0; i < kv.page_bytes() / 4; ++i)
    written += std::bit_cast<uint32_t>(floats[i]) != 0xa5a5a5a5u;
  EXPECT_EQ(written, 2u * (6 + 4));
  for (size_t head = 0; head < 2; ++head)
    for (size_t r = 0; r < 2; ++r) {
      for (size_t d = 0; d < 3; ++d)
        EXPECT_EQ(floats[kv.k_offset(head) / 4 + d * 64 + 10 + r], k.view().row(r)[head * 3 + d]);
      for (size_t d = 0; d < 2; ++d)
        EXPECT_EQ(floats[kv.v_offset(head) / 4 + (10 + r) * 2 + d], v.view().row(r)[head * 2 + d]);
    }
}

TEST(KvAppend, RoundsToNearestEvenAndSaturates) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  // 1 + 2^-11 is halfway between two halves and rounds to the even one; subnormal halves are kept.
  const std::vector<float> in = {1.0f + 0x1p-11f,
                                 1.0f + 3 * 0x1p-11f,
                                 65519.0f,
                                 65536.0f,
                                 1e9f,
                                 -1e9f,
                                 inf,
                                 -inf,
                                 0x1p-24f,
                                 1.5f * 0x1p-25f,
                                 -0.0f,
                                 0x1p-26f,
                                 nan,
                                 0.1f,
                                 -2.5f,
                                 3.0f,
                                 1e-7f};
  std::vector<float> want = in;
  for (float& w : want) w = f16_to_f32(f32_to_f16(std::isnan(w) ? w : std::clamp(w, -65504.0f, 65504.0f)));
  EXPECT_EQ(want[0], 1.0f);
  EXPECT_EQ(want[1], 1.0f + 0x1p-9f);
  EXPECT_EQ(want[4], 65504.0f);
  EXPECT_EQ(want[9], 0x1p-24f);
  const size_t n = in.size();
  const KvGeometry kv{.kv_heads = 1, .k_dim = n, .v_dim = n, .type = KvType::kF16};
  const MatView<const float> row(in.data(), 1, n);
  for (const Isa isa : present_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const ScopedIsa scoped(isa);
    std::vector<std::byte> page(kv.page_bytes());
    kernels::kv_append(kv, row, row, 0, 1, page.data(), 5);
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(page.data());
    for (size_t d = 0; d < n; ++d) {
      const float key = f16_to_f32(halves[d * 64 + 5]), value = f16_to_f32(halves[64 * n + 5 * n + d]);
      if (std::isnan(want[d])) {
        EXPECT_TRUE(std::isnan(key) && std::isnan(value));
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(key), std::bit_cast<uint32_t>(want[d])) << d;
        EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(want[d])) << d;
      }
    }
  }
}

// Codes are within half a step of what they stand for, and no block looks at another.
TEST(KvAppend, EightBitsAreWithinHalfAStep) {
  const KvGeometry kv{.kv_heads = 2, .k_dim = 40, .v_dim = 65, .type = KvType::k8};
  PaddedMat k = PaddedMat::random(3, 80, 1), v = PaddedMat::random(3, 130, 2);
  k.view().row(1)[3] = 1000;  // of its block alone
  v.view().row(0)[64] = -7;   // a block of one
  const std::vector<std::byte> page = append(kernels::kv_append_ref, kv, k, v, 9);
  const auto codes = [&](size_t offset) { return reinterpret_cast<const int8_t*>(page.data() + offset); };
  const auto scales = [&](size_t offset) { return reinterpret_cast<const float*>(page.data() + offset); };
  size_t nonzero = 0;
  for (size_t head = 0; head < 2; ++head)
    for (size_t r = 0; r < 3; ++r) {
      const size_t slot = 9 + r;
      for (size_t d = 0; d < kv.k_dim; ++d) {
        const float scale = scales(kv.k_scales_offset(head))[d / kKvBlock * 64 + slot];
        const int8_t code = codes(kv.k_offset(head))[d * 64 + slot];
        EXPECT_NEAR(static_cast<float>(code) * scale, k.view().row(r)[head * 40 + d], 0.501f * scale);
        nonzero += code != 0;
      }
      for (size_t d = 0; d < kv.v_dim; ++d) {
        const float scale = scales(kv.v_scales_offset(head))[slot * 3 + d / kKvBlock];
        const int8_t code = codes(kv.v_offset(head))[slot * 65 + d];
        EXPECT_NEAR(static_cast<float>(code) * scale, v.view().row(r)[head * 65 + d], 0.501f * scale);
      }
    }
  EXPECT_GT(nonzero, 150u);
  EXPECT_GT(scales(kv.k_scales_offset(0))[10], 7.0f);       // of the block with 1000 in it
  EXPECT_LT(scales(kv.k_scales_offset(0))[64 + 10], 0.1f);  // of its neighbour
  EXPECT_EQ(codes(kv.v_offset(0))[9 * 65 + 64], -127);
}

TEST(KvAppend, EightBitsOfNaNInfinityAndZero) {
  const float inf = std::numeric_limits<float>::infinity();
  const KvGeometry kv{.kv_heads = 1, .k_dim = 2, .v_dim = 2, .type = KvType::k8};
  const std::vector<float> in = {inf, 1, 0, 0, std::numeric_limits<float>::quiet_NaN(), 1, 1e-38f, -1e-38f};
  const MatView<const float> rows(in.data(), 4, 2);
  std::vector<std::byte> page(kv.page_bytes());
  kernels::kv_append(kv, rows, rows, 0, 1, page.data(), 0);
  const auto* scales = reinterpret_cast<const float*>(page.data() + kv.v_scales_offset(0));
  EXPECT_TRUE(std::isfinite(scales[0]) && scales[0] > 1e36f);
  EXPECT_EQ(scales[1], 0.0f);
  EXPECT_TRUE(std::isnan(scales[2]));
  EXPECT_EQ(scales[3], 0.0f);
}

}  // namespace
}  // namespace atelier::testing
