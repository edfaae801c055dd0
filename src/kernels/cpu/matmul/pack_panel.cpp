#include "kernels/cpu/matmul/pack_panel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "formats/fp8.h"
#include "formats/iq4_nl.h"
#include "formats/iq4_xs.h"
#include "formats/mxfp4.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"

namespace atelier {
namespace {

// Where one row's share of a group goes.
struct GroupOut {
  uint8_t* header;
  uint8_t* codes;
  size_t code_bytes;  // of one block of the panel
  size_t row;         // within the panel

  void scale_f16(size_t slot, uint16_t bits) const { std::memcpy(header + 32 * slot + 2 * row, &bits, 2); }
  void byte(size_t offset, unsigned value) const { header[offset + row] = static_cast<uint8_t>(value); }
  // Four consecutive columns of this row in vector `vector` of block `block`.
  void quad(size_t block, size_t vector, uint32_t value) const {
    std::memcpy(codes + block * code_bytes + vector * 64 + 4 * row, &value, 4);
  }
};

uint32_t load32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, 4);
  return value;
}

// Nibbles that already stand as the layout wants them: byte i holds column i (low) and i + 16 (high).
void put_nibbles(const GroupOut& out, size_t block, const uint8_t* bytes) {
  for (size_t j = 0; j < 4; ++j) out.quad(block, j, load32(bytes + 4 * j));
}

// The low four bits of 32 codes, a byte each.
void put_low_bits(const GroupOut& out, size_t block, const std::array<uint8_t, 32>& code) {
  for (size_t j = 0; j < 4; ++j) {
    const uint32_t low = load32(&code[4 * j]) & 0x0f0f0f0fu, high = load32(&code[4 * j + 16]) & 0x0f0f0f0fu;
    out.quad(block, j, low | high << 4);
  }
}

// Bit 4 of 32 codes: bit j of the extra vector's bytes belongs to columns 4j … 4j + 3.
void put_fifth_bits(const GroupOut& out, size_t block, const std::array<uint8_t, 32>& code) {
  uint32_t bits = 0;
  for (size_t j = 0; j < 8; ++j) bits |= ((load32(&code[4 * j]) >> 4) & 0x01010101u) << j;
  out.quad(block, 4, bits);
}

// Bits 4 and 5 of 32 codes.
void put_upper_bits(const GroupOut& out, size_t block, const std::array<uint8_t, 32>& code) {
  for (size_t h = 0; h < 2; ++h) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) bits |= ((load32(&code[16 * h + 4 * i]) >> 4) & 0x03030303u) << (2 * i);
    out.quad(block, 4 + h, bits);
  }
}

// One overload per storage format: writes block `b` of a group (formats of 32 elements) or the whole group
// (super-blocks of 256). Headers are described with PackedLayoutInfo.
void put(const GroupOut& out, size_t b, const BlockQ4_0& in) {
  out.scale_f16(b, in.d);
  put_nibbles(out, b, in.qs.data());
}
void put(const GroupOut& out, size_t b, const BlockIQ4_NL& in) {
  out.scale_f16(b, in.d);
  put_nibbles(out, b, in.qs.data());
}
void put(const GroupOut& out, size_t b, const BlockMXFP4& in) {
  out.byte(16 * b, in.e);
  put_nibbles(out, b, in.qs.data());
}
void put(const GroupOut& out, size_t b, const BlockQ4_1& in) {
  out.scale_f16(0, in.d);
  out.scale_f16(1, in.m);
  put_nibbles(out, b, in.qs.data());
}
void put(const GroupOut& out, size_t b, const BlockQ8_0& in) {
  out.scale_f16(b, in.d);
  for (size_t j = 0; j < 8; ++j) {
    uint32_t quad;
    std::memcpy(&quad, &in.qs[4 * j], 4);
    out.quad(b, j, quad ^ 0x80808080u);  // + 128
  }
}

// Q5_0 and Q5_1: `qh` has bit i for element i. Multiplying four bits by 0x204081 puts them into four bytes.
template <class Block>
void put_five_bits(const GroupOut& out, size_t b, const Block& in) {
  put_nibbles(out, b, in.qs.data());
  uint32_t bits = 0;
  for (size_t j = 0; j < 8; ++j) {
    const uint32_t four = (in.qh[j / 2] >> (4 * (j % 2))) & 0xfu;
    bits |= ((four * 0x00204081u) & 0x01010101u) << j;
  }
  out.quad(b, 4, bits);
}
void put(const GroupOut& out, size_t b, const BlockQ5_0& in) {
  out.scale_f16(b, in.d);
  put_five_bits(out, b, in);
}
void put(const GroupOut& out, size_t b, const BlockQ5_1& in) {
  out.scale_f16(0, in.d);
  out.scale_f16(1, in.m);
  put_five_bits(out, b, in);
}

constexpr uint16_t negated(uint16_t half) { return static_cast<uint16_t>(half ^ 0x8000u); }

void put_k_scales(const GroupOut& out, uint16_t d, uint16_t dmin, const std::array<uint8_t, 12>& packed) {
  const KScales k = unpack_k_scales(packed);
  out.scale_f16(0, d);
  out.scale_f16(1, negated(dmin));  // the format subtracts its minima, the layout adds them
  for (size_t s = 0; s < 8; ++s) {
    out.byte(64 + 32 * s, k.scale[s]);
    out.byte(64 + 32 * s + 16, k.min[s]);
  }
}

void put(const GroupOut& out, size_t, const BlockQ4_K& in) {
  put_k_scales(out, in.d, in.dmin, in.scales);
  for (size_t run = 0; run < 4; ++run) {
    const uint8_t* qs = &in.qs[32 * run];
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t first = load32(qs + 4 * j), second = load32(qs + 16 + 4 * j);
      out.quad(2 * run, j, (first & 0x0f0f0f0fu) | (second & 0x0f0f0f0fu) << 4);
      out.quad(2 * run + 1, j, ((first >> 4) & 0x0f0f0f0fu) | (second & 0xf0f0f0f0u));
    }
  }
}

void put(const GroupOut& out, size_t, const BlockQ5_K& in) {
  put_k_scales(out, in.d, in.dmin, in.scales);
  for (size_t s = 0; s < 8; ++s) {
    std::array<uint8_t, 32> code;
    const uint8_t* qs = &in.qs[s / 2 * 32];
    for (size_t i = 0; i < 32; ++i)
      code[i] = static_cast<uint8_t>(((qs[i] >> (4 * (s % 2))) & 0xf) | ((in.qh[i] >> s) & 1) << 4);
    put_low_bits(out, s, code);
    put_fifth_bits(out, s, code);
  }
}

void put(const GroupOut& out, size_t, const BlockQ6_K& in) {
  out.scale_f16(0, in.d);
  for (size_t j = 0; j < 16; ++j) out.byte(64 + 16 * j, static_cast<uint8_t>(in.scales[j]));
  for (size_t s = 0; s < 8; ++s) {
    std::array<uint8_t, 32> code;
    const size_t half = s / 4, part = s % 4;
    const uint8_t* ql = &in.ql[64 * half + 32 * (part % 2)];
    const uint8_t* qh = &in.qh[32 * half];
    const size_t low_shift = 4 * (part / 2), high_shift = 2 * part;
    for (size_t i = 0; i < 32; ++i)
      code[i] = static_cast<uint8_t>(((ql[i] >> low_shift) & 0xf) | ((qh[i] >> high_shift) & 3) << 4);
    put_low_bits(out, s, code);
    put_upper_bits(out, s, code);
  }
}

void put(const GroupOut& out, size_t, const BlockQ3_K& in) {
  out.scale_f16(0, in.d);
  for (size_t j = 0; j < 16; ++j) out.byte(64 + 16 * j, static_cast<uint8_t>(in.scale(j)));
  for (size_t s = 0; s < 8; ++s) {
    std::array<uint8_t, 32> code;
    for (size_t i = 0; i < 32; ++i) {
      const int low = (in.qs[32 * (s / 4) + i] >> (2 * (s % 4))) & 3;
      code[i] = static_cast<uint8_t>(low | ((in.hmask[i] >> s) & 1) << 2);
    }
    put_low_bits(out, s, code);
  }
}

void put(const GroupOut& out, size_t, const BlockQ2_K& in) {
  out.scale_f16(0, in.d);
  out.scale_f16(1, negated(in.dmin));
  for (size_t j = 0; j < 16; ++j) out.byte(64 + 16 * j, in.scales[j]);  // scale in the low nibble, min high
  for (size_t s = 0; s < 8; ++s) {
    std::array<uint8_t, 32> code;
    for (size_t i = 0; i < 32; ++i)
      code[i] = static_cast<uint8_t>((in.qs[32 * (s / 4) + i] >> (2 * (s % 4))) & 3);
    put_low_bits(out, s, code);
  }
}

void put(const GroupOut& out, size_t, const BlockIQ4_XS& in) {
  out.scale_f16(0, in.d);
  for (size_t s = 0; s < 8; ++s) {
    out.byte(32 + 16 * s, static_cast<uint8_t>(in.scale(s)));
    put_nibbles(out, s, &in.qs[16 * s]);
  }
}

// OpenAI's split MXFP4: byte i of a block holds elements 2i and 2i + 1.
void put_mxfp4_split(const GroupOut& out, size_t b, const uint8_t* bytes, uint8_t scale) {
  out.byte(16 * b, scale);
  std::array<uint8_t, 32> code;
  for (size_t i = 0; i < 16; ++i) {
    code[2 * i] = bytes[i] & 0xf;
    code[2 * i + 1] = bytes[i] >> 4;
  }
  put_low_bits(out, b, code);
}

// Walks the groups of a panel; fn(out, first_block, n_blocks) is called for each row of each group, so that
// a row is read in runs of a few cache lines and a group is finished while it is in L1.
template <class Fn>
void for_each_group(const PackedLayoutInfo& info, size_t n_rows, size_t n_blocks, uint8_t* panel, Fn fn) {
  for (size_t first = 0; first < n_blocks; first += info.group_blocks) {
    const size_t n = std::min<size_t>(info.group_blocks, n_blocks - first);
    for (size_t r = 0; r < n_rows; ++r)
      fn(GroupOut{panel, panel + info.header_bytes, info.code_bytes(), r}, first, n);
    panel += info.header_bytes + n * info.code_bytes();
  }
}

template <class Block>
void pack_blocks(const PackedLayoutInfo& info, std::span<const EncodedRow> rows, size_t cols,
                 uint8_t* panel) {
  constexpr size_t kBlocksPerFormatBlock = Block::kElems / kBlockCols;
  ATELIER_CHECK(cols % Block::kElems == 0);
  for_each_group(info, rows.size(), cols / kBlockCols, panel, [&](GroupOut out, size_t first, size_t n) {
    const std::byte* in = rows[out.row].data + first / kBlocksPerFormatBlock * sizeof(Block);
    for (size_t b = 0; b < n; b += kBlocksPerFormatBlock, in += sizeof(Block)) {
      Block block;
      std::memcpy(&block, in, sizeof block);
      put(out, b, block);
    }
  });
}

void pack_mxfp4_split(const PackedLayoutInfo& info, std::span<const EncodedRow> rows, size_t cols,
                      uint8_t* panel) {
  for_each_group(info, rows.size(), cols / kBlockCols, panel, [&](GroupOut out, size_t first, size_t n) {
    const EncodedRow& row = rows[out.row];
    for (size_t b = 0; b < n; ++b)
      put_mxfp4_split(out, b, reinterpret_cast<const uint8_t*>(row.data) + 16 * (first + b),
                      static_cast<uint8_t>(row.scales[first + b]));
  });
}

// Transposes elements of a float type (or pairs of them) in tiles that stay in L1: out[c][r] = row r's c.
template <class Element>
void transpose(std::span<const EncodedRow> rows, size_t n, uint8_t* panel) {
  constexpr size_t kTile = 64 / sizeof(Element);
  for (size_t first = 0; first < n; first += kTile) {
    const size_t last = std::min(n, first + kTile);
    for (size_t r = 0; r < rows.size(); ++r)
      for (size_t c = first; c < last; ++c)
        std::memcpy(panel + (c * kPanelRows + r) * sizeof(Element), rows[r].data + c * sizeof(Element),
                    sizeof(Element));
  }
}

void pack_bf16(std::span<const EncodedRow> rows, size_t cols, uint8_t* panel) {
  transpose<uint32_t>(rows, cols / 2, panel);
  if (cols % 2 == 0) return;
  for (size_t r = 0; r < rows.size(); ++r)  // the last column's partner stays zero
    std::memcpy(panel + (cols / 2 * kPanelRows + r) * 4, rows[r].data + (cols - 1) * 2, 2);
}

// Kernels read a code as the f16 that stands in its place, which is 2^-8 of its value and finite where the
// code is NaN: the scale carries both. A NaN weight makes its row's results NaN, and so does a NaN scale.
void pack_f8(std::span<const EncodedRow> rows, size_t cols, uint8_t* panel) {
  static_assert(kF8GroupCols == kF8TileCols);
  for (size_t first = 0; first < cols; first += kF8GroupCols, panel += kF8GroupBytes) {
    const size_t n = std::min(kF8GroupCols, cols - first);
    uint8_t* codes = panel + kF8HeaderBytes;
    for (size_t r = 0; r < rows.size(); ++r) {
      float scale;
      std::memcpy(&scale, rows[r].scales + first / kF8GroupCols * sizeof scale, sizeof scale);
      scale *= 256.0f;
      for (size_t c = 0; c < n; ++c) {
        const auto code = static_cast<uint8_t>(rows[r].data[first + c]);
        codes[c * kPanelRows + r] = code;
        if ((code & 0x7f) == 0x7f) scale = std::numeric_limits<float>::quiet_NaN();
      }
      std::memcpy(panel + r * sizeof scale, &scale, sizeof scale);
    }
  }
}

}  // namespace

void pack_panel(DType dtype, std::span<const EncodedRow> rows, size_t cols, uint8_t* panel) {
  const PackedLayoutInfo& info = packed_layout_info(packed_format(dtype).layout);
  switch (dtype) {
    case DType::kF32:
      return transpose<uint32_t>(rows, cols, panel);
    case DType::kF16:
      return transpose<uint16_t>(rows, cols, panel);
    case DType::kBF16:
      return pack_bf16(rows, cols, panel);
    case DType::kF8E4M3:
      return pack_f8(rows, cols, panel);
    case DType::kQ8_0:
      return pack_blocks<BlockQ8_0>(info, rows, cols, panel);
    case DType::kQ4_0:
      return pack_blocks<BlockQ4_0>(info, rows, cols, panel);
    case DType::kQ4_1:
      return pack_blocks<BlockQ4_1>(info, rows, cols, panel);
    case DType::kQ5_0:
      return pack_blocks<BlockQ5_0>(info, rows, cols, panel);
    case DType::kQ5_1:
      return pack_blocks<BlockQ5_1>(info, rows, cols, panel);
    case DType::kQ2_K:
      return pack_blocks<BlockQ2_K>(info, rows, cols, panel);
    case DType::kQ3_K:
      return pack_blocks<BlockQ3_K>(info, rows, cols, panel);
    case DType::kQ4_K:
      return pack_blocks<BlockQ4_K>(info, rows, cols, panel);
    case DType::kQ5_K:
      return pack_blocks<BlockQ5_K>(info, rows, cols, panel);
    case DType::kQ6_K:
      return pack_blocks<BlockQ6_K>(info, rows, cols, panel);
    case DType::kIQ4_NL:
      return pack_blocks<BlockIQ4_NL>(info, rows, cols, panel);
    case DType::kIQ4_XS:
      return pack_blocks<BlockIQ4_XS>(info, rows, cols, panel);
    case DType::kMXFP4:
      if (!rows.empty() && rows[0].scales != nullptr) return pack_mxfp4_split(info, rows, cols, panel);
      return pack_blocks<BlockMXFP4>(info, rows, cols, panel);
    default:
      break;
  }
  const bool can_be_packed = false;
  ATELIER_CHECK(can_be_packed);
}

}  // namespace atelier
