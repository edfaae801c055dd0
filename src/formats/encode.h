// Quantising floats into published formats: for synthetic checkpoints and for tests.
#pragma once

#include <cstddef>
#include <span>

#include "formats/dtype.h"

namespace atelier {

// F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, MXFP4.
bool can_encode(DType dtype);

// Encodes one row of finite values (any whole number of blocks). can_encode(dtype);
// out.size() == row_bytes(dtype, in.size()). F16, BF16, Q8_0, Q4_x, Q5_x and MXFP4 choose the same codes as
// PyPI `gguf`; the K formats use the plain min/max rule stated in their headers.
void encode_row(DType dtype, std::span<const float> in, std::span<std::byte> out);

// OpenAI's MXFP4 layout (see decode_mxfp4_split): blocks.size() == in.size() / 2, scales.size() == in.size()
// / 32.
void encode_mxfp4_split(std::span<const float> in, std::span<std::byte> blocks, std::span<std::byte> scales);

}  // namespace atelier
