#include "kernels/cpu/matmul/packed.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cpu/matmul/pack_panel.h"

namespace atelier {
namespace {

using enum PackedLayout;

constexpr std::array<uint8_t, 16> kIdentity = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// E2M1 times two is 0 1 2 3 4 6 8 12 and the negatives (OCP Microscaling v1.0); 12 is added.
constexpr std::array<uint8_t, 16> kMxfp4 = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// IQ4_NL's non-linear levels, −127 … 113, plus 128.
constexpr std::array<uint8_t, 16> kIq4Nl = {1,   24,  45,  63,  79,  93,  106, 118,
                                            129, 141, 153, 166, 181, 197, 217, 241};

// A distance that kernels can address: 15 of it in 31 bits.
bool is_addressable(ptrdiff_t stride) { return stride > 0 && stride <= ptrdiff_t{1} << 26; }

// The rows as they stand, if they can be used there.
std::optional<RowPanel> rows_in_place(DType dtype, const EncodedRows& rows, size_t cols) {
  const bool is_byte = dtype == DType::kQ8_0;
  // Scales of MXFP4 are read four at a time, at a row's end also the three before: see row_scales().
  const size_t min_blocks = is_byte ? 1 : 6;
  if ((!is_byte && dtype != DType::kMXFP4) || rows.size() < kPanelRows || cols < min_blocks * kBlockCols)
    return std::nullopt;
  const std::optional<EncodedRows::Strides> strides = rows.strides();
  if (!strides || !is_addressable(strides->data)) return std::nullopt;
  RowPanel panel;
  panel.codes = reinterpret_cast<const uint8_t*>(rows[0].data);
  panel.code_stride = static_cast<size_t>(strides->data);
  if (rows[0].scales == nullptr) {  // blocks of a scale and 16 bytes of codes, or 32
    panel.scales = panel.codes;
    panel.codes += is_byte ? 2 : 1;
    panel.scale_stride = panel.code_stride;
    panel.code_step = panel.scale_step = is_byte ? 34 : 17;
    return panel;
  }
  if (!is_addressable(strides->scales)) return std::nullopt;
  panel.scales = reinterpret_cast<const uint8_t*>(rows[0].scales);
  panel.scale_stride = static_cast<size_t>(strides->scales);
  panel.code_step = 16;
  panel.scale_step = 1;
  return panel;
}

// The layout of rows in place.
PackedLayout layout_of(const RowPanel& rows) {
  return rows.code_step == 34 ? kRowsByteF16 : rows.scale_step == 1 ? kRowsE8M0Pairs : kRowsE8M0;
}

}  // namespace

PackedFormat packed_format(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {kF32};
    case DType::kF16:
      return {kF16};
    case DType::kBF16:
      return {kBF16};
    case DType::kF8E4M3:
      return {kF8};
    case DType::kQ4_0:
      return {kNibF16, 8, 15, kIdentity};
    case DType::kQ4_1:
      return {kNibF16Min, 0, 15, kIdentity};
    case DType::kQ5_0:
      return {kFiveF16, 16, 31, kIdentity};
    case DType::kQ5_1:
      return {kFiveF16Min, 0, 31, kIdentity};
    case DType::kQ8_0:
      return {kByteF16, 128, 255, kIdentity};
    case DType::kQ2_K:
      return {kNibK16Min, 0, 3, kIdentity};
    case DType::kQ3_K:
      return {kNibK16, 4, 7, kIdentity};
    case DType::kQ4_K:
      return {kNibKMin, 0, 15, kIdentity};
    case DType::kQ5_K:
      return {kFiveKMin, 0, 31, kIdentity};
    case DType::kQ6_K:
      return {kSixK16, 32, 63, kIdentity};
    case DType::kIQ4_NL:
      return {kNibF16, 128, 241, kIq4Nl};
    case DType::kIQ4_XS:
      return {kNibK, 128, 241, kIq4Nl};
    case DType::kMXFP4:
      return {kNibE8M0, 12, 24, kMxfp4};
    default:
      break;
  }
  const bool can_be_packed = false;
  ATELIER_CHECK(can_be_packed);
  return {kF32};
}

size_t packed_panel_bytes(PackedLayout layout, size_t cols) {
  const PackedLayoutInfo& info = packed_layout_info(layout);
  if (layout == kF32) return cols * kPanelRows * 4;
  if (layout == kF8)
    return round_up<size_t>(ceil_div(cols, kF8GroupCols) * kF8HeaderBytes + cols * kPanelRows, 64);
  if (info.is_float()) return ceil_div<size_t>(cols, 2) * kPanelRows * 4;
  ATELIER_CHECK(cols % kBlockCols == 0);
  const size_t n_blocks = cols / kBlockCols;
  return ceil_div<size_t>(n_blocks, info.group_blocks) * info.header_bytes + n_blocks * info.code_bytes();
}

size_t streamed_bytes(DType dtype, size_t rows, size_t cols) {
  return ceil_div(rows, kPanelRows) * packed_panel_bytes(packed_format(dtype).layout, cols);
}

size_t packed_bytes(DType dtype, const EncodedRows& rows, size_t cols, RowsInPlace in_place) {
  const bool stay = in_place == RowsInPlace::kAllowed && rows_in_place(dtype, rows, cols);
  return streamed_bytes(dtype, stay ? rows.size() % kPanelRows : rows.size(), cols);
}

PackedWeight::PackedWeight(DType dtype, const EncodedRows& rows, size_t cols, ThreadPool& pool,
                           RowsInPlace in_place)
    : rows_(rows.size()),
      cols_(cols),
      panel_bytes_(packed_panel_bytes(packed_format(dtype).layout, cols)),
      format_(packed_format(dtype)),
      data_(packed_bytes(dtype, rows, cols, in_place)) {
  const std::optional<RowPanel> first = rows_in_place(dtype, rows, cols);
  if (first && in_place == RowsInPlace::kAllowed) {
    first_rows_ = *first;
    n_row_panels_ = rows.size() / kPanelRows;
    format_.layout = layout_of(*first);
  }
  panels_ = data_.data();
  pool.run(n_panels() - n_row_panels_, [&](size_t p, size_t) {
    const size_t begin = (n_row_panels_ + p) * kPanelRows, n = std::min(kPanelRows, rows.size() - begin);
    std::array<EncodedRow, kPanelRows> of_panel;
    for (size_t r = 0; r < n; ++r) of_panel[r] = rows[begin + r];
    pack_panel(dtype, std::span(of_panel).first(n), cols, data_.data() + p * panel_bytes_);
  });
}

PackedWeight::PackedWeight(DType dtype, size_t rows, size_t cols, std::span<const uint8_t> panels)
    : rows_(rows),
      cols_(cols),
      panel_bytes_(packed_panel_bytes(packed_format(dtype).layout, cols)),
      format_(packed_format(dtype)),
      panels_(panels.data()) {
  ATELIER_CHECK(panels.size() == streamed_bytes() &&
                reinterpret_cast<uintptr_t>(panels.data()) % kCacheLineBytes == 0);
}

void pack_rows(DType dtype, std::span<const EncodedRow> rows, size_t cols, std::span<uint8_t> panel) {
  ATELIER_CHECK(!rows.empty() && rows.size() <= kPanelRows &&
                panel.size() == packed_panel_bytes(packed_format(dtype).layout, cols));
  std::ranges::fill(panel, uint8_t{0});
  pack_panel(dtype, rows, cols, panel.data());
}

}  // namespace atelier
