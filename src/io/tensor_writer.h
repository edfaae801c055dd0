// What the writers of GGUF and safetensors share: tensors are declared first and streamed afterwards, so that
// a checkpoint far larger than memory can be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/dtype.h"
#include "io/shape.h"

namespace atelier {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

// Fills `rows`: whole rows of `tensor`, the first being row `first_row` of shape.rows(), each of
// row_bytes(dtype, shape.cols()) bytes. Called with consecutive runs of rows, tensors in the order in which
// they were added, about kWriteChunkBytes at a time. An error ends the writing and is passed on.
using FillRows =
    std::function<Status(const TensorSpec& tensor, uint64_t first_row, std::span<std::byte> rows)>;

inline constexpr size_t kWriteChunkBytes = 8u << 20;

// Bytes of the whole tensor. Errors: kInvalidArgument for names no reader takes, rows of part blocks, sizes
// that wrap.
Result<uint64_t> checked_tensor_bytes(const TensorSpec& tensor);

// kInvalidArgument where two have one name.
Status check_unique_names(std::span<const TensorSpec> tensors);

// Streams one tensor into `file` through `chunk`, which is grown as needed and kept by the caller.
Status write_tensor(DraftFile& file, const TensorSpec& tensor, const FillRows& fill,
                    std::vector<std::byte>& chunk);

}  // namespace atelier
