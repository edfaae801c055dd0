// The storage formats of published weights: what a block of each holds and how many bytes it takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace atelier {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,  // DeepSeek's FP8; scales stand in a companion tensor
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,  // GGUF layout: 17-byte blocks, scale first
  // Plain integers: OpenAI's MXFP4 publishes U8 tensors (`*_blocks`, `*_scales`); others appear beside
  // weights.
  kU8,
  kI8,
  kI16,
  kI32,
  kI64,
  kF64,
  kBool,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // "Q4_K", as GGUF tools print it
  size_t block_elems;     // elements per block; rows are whole blocks
  size_t block_bytes;
  bool is_weight;  // decode_row() can turn it into floats
};

const DTypeInfo& dtype_info(DType dtype);

// Ids of `ggml_type` in GGUF tensor records; nothing for ids we do not know.
std::optional<DType> dtype_from_gguf(uint32_t ggml_type);
std::optional<uint32_t> dtype_to_gguf(DType dtype);
// Names in safetensors headers: "F32", "BF16", "F8_E4M3", "U8", …
std::optional<DType> dtype_from_safetensors(std::string_view name);
std::optional<std::string_view> dtype_to_safetensors(DType dtype);

// Bytes of a row of `elems` elements; nothing if it is not a whole number of blocks or wraps.
std::optional<size_t> row_bytes(DType dtype, size_t elems);

}  // namespace atelier
