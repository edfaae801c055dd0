// Exact scalar decoding of every weight format: the definition all fast paths are held to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/dtype.h"

namespace atelier {

// Decodes one row (any whole number of blocks) of `encoded` into `out`, bit for bit as PyPI `gguf`
// dequantises. encoded.size() must be row_bytes(dtype, out.size()); dtype must be a weight format other than
// kF8E4M3.
void decode_row(DType dtype, std::span<const std::byte> encoded, std::span<float> out);

// OpenAI's MXFP4: `blocks` holds two codes a byte (low nibble = even element), `scales` one E8M0 byte per 32
// elements. blocks.size() == out.size() / 2, scales.size() == out.size() / 32.
void decode_mxfp4_split(std::span<const std::byte> blocks, std::span<const std::byte> scales,
                        std::span<float> out);

// FP8 with scales: codes.size() == out.size(); `scales` holds a float32 for each begun 128 columns. Each
// value is code · scale, rounded once.
void decode_f8e4m3_tiled(std::span<const std::byte> codes, std::span<const std::byte> scales,
                         std::span<float> out);

}  // namespace atelier
