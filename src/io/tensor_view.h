// A tensor where it lies in its file.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "formats/dtype.h"
#include "io/shape.h"

namespace atelier {

// A tensor inside a mapped file. `bytes` lives as long as the Checkpoint (or the mapping) and holds exactly
// the tensor: rows() rows of row_bytes(dtype, cols()) bytes, without padding. Its address may be unaligned
// (safetensors does not promise any): read elements with memcpy or unaligned loads.
struct TensorView {
  std::string_view name;
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
};

}  // namespace atelier
