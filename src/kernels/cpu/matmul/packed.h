// Weights as the matrix kernels read them: panels of 16 rows, streamed once from front to back.
//
// Quantised layouts cut a panel into blocks of 32 columns. A block holds unsigned codes as operands of a byte
// dot product: vector j (64 bytes) has, for each of 16 rows, the codes of columns 4j … 4j+3. Blocks stand in
// groups behind a common header of scales, so that every vector is aligned to a cache line:
//
//   panel:  group, group, …, last group (possibly with fewer blocks)
//   group:  header (scales of up to group_blocks blocks), then the codes of each block
//   codes:  4 bits: 4 vectors, low nibbles = vector j, high nibbles = vector j + 4
//           5 bits: the same, then 1 vector whose byte holds the fifth bit of vector j in bit j
//           6 bits: the same, then 2 vectors with bits 4-5 of vector 4h + i in bits 2i, 2i+1 of the h-th
//           8 bits: 8 vectors
//
// MXFP4 and Q8_0 also have layouts that are no copy: rows stay where the checkpoint is mapped, and kernels
// gather a block of 16 rows as they go. Packing would take seconds and a second copy of what is most of a
// model's bytes, of which, with experts, a token meets few. Rows that do not fill a panel are packed.
//
// A weight is scale · (table[code] − zero_point) + min. Float layouts are k-major: [cols][16] (F32, F16),
// [cols / 2][16][2] (BF16, pairs of columns), or groups of 128 columns (FP8): 16 scales as float32, times
// 256, then [cols][16] codes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/threads.h"
#include "formats/dtype.h"
#include "formats/encoded_row.h"

namespace atelier {

inline constexpr size_t kPanelRows = 16;
inline constexpr size_t kBlockCols = 32;
// Of the FP8 layout: a header of scales, and what a group of columns takes with it.
inline constexpr size_t kF8GroupCols = 128;
inline constexpr size_t kF8HeaderBytes = kPanelRows * sizeof(float);
inline constexpr size_t kF8GroupBytes = kF8HeaderBytes + kF8GroupCols * kPanelRows;

// Codes × scales. "K" scales are an f16 per 256 columns times a small integer per 32 (or 16: "K16").
enum class PackedLayout : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8,             // FP8 E4M3 with a scale per 128 columns
  kNibF16,         // Q4_0, IQ4_NL
  kNibF16Min,      // Q4_1
  kNibE8M0,        // MXFP4
  kNibK,           // IQ4_XS
  kNibKMin,        // Q4_K
  kNibK16,         // Q3_K
  kNibK16Min,      // Q2_K
  kFiveF16,        // Q5_0
  kFiveF16Min,     // Q5_1
  kFiveKMin,       // Q5_K
  kSixK16,         // Q6_K
  kByteF16,        // Q8_0
  kRowsE8M0,       // MXFP4 as GGUF has it, in place: low nibbles are columns 0–15, high ones 16–31
  kRowsE8M0Pairs,  // MXFP4 as OpenAI publishes it, in place: low nibbles are even columns
  kRowsByteF16,    // Q8_0 in place
};
inline constexpr size_t kPackedLayouts = 19;

struct PackedLayoutInfo {
  PackedLayout layout;
  std::string_view name;
  uint8_t code_bits;      // 4, 5, 6, 8; of float layouts bits per weight
  uint8_t group_blocks;   // blocks behind one header; 0: float layout
  uint8_t granules;       // scales per block of 32 columns: 1 or 2
  bool has_min;           // zero_point is 0 where there is one
  uint16_t header_bytes;  // multiple of 64

  constexpr bool is_float() const { return group_blocks == 0; }
  constexpr size_t code_bytes() const { return kPanelRows * kBlockCols / 8 * code_bits; }
};

// Headers: f16 = 32 bytes a block, e8m0 = 16. K = one f16 (32 bytes; 64 together with the f16 of the minima,
// negated, or with padding), then for each block 16 bytes of scales per granule and 16 of minima; K16+min
// keeps both in one byte (scale in the low nibble).
inline constexpr std::array<PackedLayoutInfo, kPackedLayouts> kPackedLayoutInfos = {{
    {PackedLayout::kF32, "f32", 32, 0, 1, false, 0},
    {PackedLayout::kF16, "f16", 16, 0, 1, false, 0},
    {PackedLayout::kBF16, "bf16", 16, 0, 1, false, 0},
    {PackedLayout::kF8, "f8 f32", 8, 0, 1, false, 0},
    {PackedLayout::kNibF16, "4-bit f16", 4, 2, 1, false, 64},
    {PackedLayout::kNibF16Min, "4-bit f16+min", 4, 1, 1, true, 64},
    {PackedLayout::kNibE8M0, "4-bit e8m0", 4, 4, 1, false, 64},
    {PackedLayout::kNibK, "4-bit K", 4, 8, 1, false, 192},
    {PackedLayout::kNibKMin, "4-bit K+min", 4, 8, 1, true, 320},
    {PackedLayout::kNibK16, "4-bit K16", 4, 8, 2, false, 320},
    {PackedLayout::kNibK16Min, "4-bit K16+min", 4, 8, 2, true, 320},
    {PackedLayout::kFiveF16, "5-bit f16", 5, 2, 1, false, 64},
    {PackedLayout::kFiveF16Min, "5-bit f16+min", 5, 1, 1, true, 64},
    {PackedLayout::kFiveKMin, "5-bit K+min", 5, 8, 1, true, 320},
    {PackedLayout::kSixK16, "6-bit K16", 6, 8, 2, false, 320},
    {PackedLayout::kByteF16, "8-bit f16", 8, 2, 1, false, 64},
    {PackedLayout::kRowsE8M0, "4-bit e8m0 rows", 4, 4, 1, false, 64},
    {PackedLayout::kRowsE8M0Pairs, "4-bit e8m0 pair rows", 4, 4, 1, false, 64},
    {PackedLayout::kRowsByteF16, "8-bit f16 rows", 8, 2, 1, false, 64},
}};
constexpr const PackedLayoutInfo& packed_layout_info(PackedLayout layout) {
  return kPackedLayoutInfos[static_cast<size_t>(layout)];
}

// How a storage format is packed: its layout, and what its codes mean.
struct PackedFormat {
  PackedLayout layout;
  uint8_t zero_point = 0;
  uint8_t max_code = 0;                // largest value of table[code] (or of the code itself)
  std::array<uint8_t, 16> table = {};  // what the nibbles stand for; identity for plain integers
};
// CHECKs that the format can be packed: every weight format of DTypeInfo.
PackedFormat packed_format(DType dtype);

// Where 16 rows that stay in place have their codes and scales: row r, block b at codes + r · code_stride + b
// · code_step.
struct RowPanel {
  const uint8_t* codes = nullptr;
  const uint8_t* scales = nullptr;
  size_t code_stride = 0, code_step = 0;
  size_t scale_stride = 0, scale_step = 0;
};

// Whether rows that can be used where they stand are: they must then outlive the weight.
enum class RowsInPlace { kAllowed, kCopied };

// A packed matrix [rows, cols]; rows that fill up the last panel are zero.
class PackedWeight {
 public:
  // Panels are packed in parallel.
  PackedWeight(DType dtype, const EncodedRows& rows, size_t cols, ThreadPool& pool,
               RowsInPlace in_place = RowsInPlace::kAllowed);
  // Of panels that pack_rows() made, all of them: streamed_bytes() on a cache line, which must outlive this.
  PackedWeight(DType dtype, size_t rows, size_t cols, std::span<const uint8_t> panels);

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t n_panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  size_t n_blocks() const { return cols_ / kBlockCols; }
  size_t panel_bytes() const { return panel_bytes_; }
  size_t bytes() const { return data_.size(); }                        // of memory taken
  size_t streamed_bytes() const { return n_panels() * panel_bytes_; }  // read by one product
  const PackedFormat& format() const { return format_; }
  const PackedLayoutInfo& info() const { return packed_layout_info(format_.layout); }
  const uint8_t* panel(size_t p) const { return panels_ + (p - n_row_panels_) * panel_bytes_; }
  // Panels [0, n_row_panels()) stay in place; the others are packed.
  size_t n_row_panels() const { return n_row_panels_; }
  RowPanel row_panel(size_t p) const {
    RowPanel panel = first_rows_;
    panel.codes += p * kPanelRows * panel.code_stride;
    panel.scales += p * kPanelRows * panel.scale_stride;
    return panel;
  }

 private:
  size_t rows_ = 0;
  size_t cols_ = 0;
  size_t panel_bytes_ = 0;
  size_t n_row_panels_ = 0;
  RowPanel first_rows_;
  PackedFormat format_;
  Buffer<uint8_t> data_;             // empty where the panels are somebody else's
  const uint8_t* panels_ = nullptr;  // panel n_row_panels_
};

// Changes whenever panels of any layout get other bytes: whoever keeps panels keeps it beside them.
inline constexpr uint32_t kPackingVersion = 1;

// Packs up to 16 rows into one panel of packed_panel_bytes() bytes, whatever it held.
void pack_rows(DType dtype, std::span<const EncodedRow> rows, size_t cols, std::span<uint8_t> panel);

// Memory PackedWeight takes, and bytes one product with it reads.
size_t packed_bytes(DType dtype, const EncodedRows& rows, size_t cols,
                    RowsInPlace in_place = RowsInPlace::kAllowed);
size_t streamed_bytes(DType dtype, size_t rows, size_t cols);
size_t packed_panel_bytes(PackedLayout layout, size_t cols);

}  // namespace atelier
