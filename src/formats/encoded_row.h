// Where one row of a weight matrix stands in a checkpoint.
#pragma once

#include <cstddef>

namespace atelier {

// One encoded row of a weight matrix in its storage format.
struct EncodedRow {
  const std::byte* data = nullptr;
  // Companion scales: OpenAI's MXFP4: E8M0, one per 32 columns; FP8: float32, one per 128. Null otherwise.
  const std::byte* scales = nullptr;
};

}  // namespace atelier
