// Small value types: checked arithmetic, buffers, views, results, ISA names.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "base/mat_view.h"
#include "base/memory.h"
#include "base/result.h"

namespace atelier {
namespace {

TEST(Checked, ReportsWraps) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(checked_add<uint64_t>(2, 3), 5u);
  EXPECT_EQ(checked_add<uint64_t>(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_mul<uint64_t>(1u << 31, 1u << 31), uint64_t{1} << 62);
  EXPECT_EQ(checked_mul<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_round_up<uint64_t>(33, 32), 64u);
  EXPECT_EQ(checked_round_up<uint64_t>(64, 32), 64u);
  EXPECT_EQ(checked_round_up<uint64_t>(kMax, 32), std::nullopt);
}

TEST(Buffer, IsZeroAlignedAndMovable) {
  for (const size_t n : {size_t{1}, size_t{100}, size_t{1} << 20}) {
    Buffer<float> buffer(n);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kCacheLineBytes, 0u);
    EXPECT_EQ(buffer[n - 1], 0.0f);
    buffer[n - 1] = 3.0f;
    Buffer<float> moved = std::move(buffer);
    EXPECT_EQ(moved[n - 1], 3.0f);
    EXPECT_EQ(buffer.data(), nullptr);  // NOLINT(bugprone-use-after-move): the empty state is what is tested
    moved = Buffer<float>(2);
    EXPECT_EQ(moved.size(), 2u);
    EXPECT_EQ(moved[1], 0.0f);
  }
}

TEST(MatView, RowsAndColumnsShareMemory) {
  Buffer<float> buffer(12);
  const MatView<float> mat = buffer.mat(3, 4);
  mat.row(1)[2] = 5.0f;
  EXPECT_EQ(mat.col_range(2, 2).row(1)[0], 5.0f);
  EXPECT_EQ(mat.row_range(1, 2).row(0)[2], 5.0f);
  const MatView<const float> read_only = mat;
  EXPECT_EQ(read_only.row(1)[2], 5.0f);
  EXPECT_DEATH(mat.row(3), "CHECK");
}

Result<int> halve(int value) {
  if (value % 2 != 0)
    return fail(ErrorCode::kInvalidArgument, "value: expected an even number, found {}", value);
  return value / 2;
}

Result<int> quarter(int value) {
  ATELIER_TRY(const int half, halve(value));
  return halve(half);
}

TEST(Result, CarriesErrorsUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  const Result<int> failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message, "value: expected an even number, found 3");
  const Result<int> placed = fail_in("model.gguf", failed.error());
  EXPECT_EQ(placed.error().message, "model.gguf: value: expected an even number, found 3");
}

TEST(Isa, NamesRoundTripAndLevelsOnlyGoDown) {
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx})
    EXPECT_EQ(isa_from_name(isa_name(isa)).value(), isa);
  EXPECT_FALSE(isa_from_name("sse9"));
  const Isa before = active_isa();
  EXPECT_TRUE(set_active_isa(Isa::kBaseline));
  EXPECT_EQ(active_isa(), Isa::kBaseline);
  if (detected_isa() != Isa::kAmx) {
    EXPECT_FALSE(set_active_isa(Isa::kAmx));
  }
  EXPECT_TRUE(set_active_isa(before));
}

TEST(Memory, FiguresAreSane) {
  EXPECT_GT(available_memory_bytes(), 0u);
  EXPECT_LE(available_memory_bytes(), total_memory_bytes());
  EXPECT_GT(peak_resident_bytes(), 0u);
}

}  // namespace
}  // namespace atelier
