// From a plan's weight table to the tensors of a checkpoint file, and to their bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/threads.h"
#include "io/checkpoint.h"
#include "io/tensor_writer.h"
#include "models/synth_plan.h"

namespace atelier {

// A tensor as it is published: of one entry of the weight table, or of several that it fuses.
struct PublishedTensor {
  enum class Part { kWhole, kBlocks, kScales };  // the latter two: OpenAI's split MXFP4
  TensorSpec file;                               // name, stored type and shape
  Part part = Part::kWhole;
  DType dtype = DType::kF32;  // of the weights; `file` has U8 for the parts
  std::vector<const WeightSpec*> entries;
  std::span<const float> values;  // of a plan's extra vector, instead of entries
};

// The tensors that publishing `plan` this way takes, in the table's order. They point into the plan. Errors:
// kInvalidArgument where the dialect does not have the format.
Result<std::vector<PublishedTensor>> published_tensors(const SynthPlan& plan, Dialect dialect,
                                                       SynthFormat format);

// Makes the bytes of published tensors.
class TensorFiller {
 public:
  TensorFiller(const SynthPlan& plan, Dialect dialect, uint64_t seed, ThreadPool& pool)
      : plan_(&plan), dialect_(dialect), seed_(seed), pool_(&pool) {}

  // Rows [first_row, …) of the tensor's file shape, as FillRows asks for them.
  void fill(const PublishedTensor& tensor, uint64_t first_row, std::span<std::byte> rows);

 private:
  void fill_vectors(const PublishedTensor& tensor, uint64_t first_row, std::span<std::byte> rows) const;
  void fill_matrix(const PublishedTensor& tensor, uint64_t first_row, std::span<std::byte> rows) const;
  void fill_transposed(const PublishedTensor& tensor, uint64_t first_row, std::span<std::byte> rows);
  void fill_matrix_row(const PublishedTensor& tensor, uint64_t row, std::span<std::byte> out) const;
  double deviation(const WeightSpec& entry) const;

  const SynthPlan* plan_;
  Dialect dialect_;
  uint64_t seed_;
  ThreadPool* pool_;
  // The matrix being written column by column, row by row: one expert's.
  RawBuffer upright_;
  const PublishedTensor* upright_of_ = nullptr;
  uint64_t upright_expert_ = 0;
};

}  // namespace atelier
