// Random weights, written straight into encoded rows. What a row holds depends on the seed, the tensor and
// the row only, so that rows can be made in any order and on any thread, and so that every dialect gets the
// same weights wherever it keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/dtype.h"

namespace atelier {

// Names the random stream of one row.
struct FillKey {
  uint64_t value = 0;
};
FillKey fill_key(uint64_t seed, std::string_view tensor, uint64_t expert, uint64_t row);

// Whether fill_row() can write this format: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q4_K, Q6_K, MXFP4.
bool can_fill(DType dtype);

// One row of `cols` values, evenly spread around zero with about the standard deviation `stddev`.
// out.size() == row_bytes(dtype, cols). F32, F16, BF16 and Q8_0 hold the very same values, as do both layouts
// of MXFP4.
void fill_row(DType dtype, FillKey key, double stddev, size_t cols, std::span<std::byte> out);

// OpenAI's MXFP4 layout, one of its two tensors at a time: blocks.size() == cols / 2, scales.size() == cols /
// 32.
void fill_mxfp4_blocks(FillKey key, std::span<std::byte> blocks);
void fill_mxfp4_scales(FillKey key, double stddev, std::span<std::byte> scales);

// `centre` plus values as above, all of which BF16 and F16 hold exactly.
void fill_vector(FillKey key, float centre, double stddev, std::span<float> out);

}  // namespace atelier
