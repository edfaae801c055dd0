// How a checkpoint becomes a model.
#pragma once

namespace atelier {

// What becomes of F32, F16 and BF16 matrices.
enum class DenseWeights {
  kAsPublished,
  // Packed as 8-bit blocks of 32 columns (Q8_0): about half the bytes a token reads of BF16, at a cost in
  // exactness. Left alone: matrices whose columns are no whole blocks, and routers, whose errors change which
  // experts answer. The reference path computes with the published weights in any case.
  kQ8,
};

struct LoadOptions {
  DenseWeights dense = DenseWeights::kAsPublished;
};

}  // namespace atelier
