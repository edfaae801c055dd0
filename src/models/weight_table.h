// The one list of an architecture's tensors. Loading, checking, memory estimates and synthetic checkpoints
// all read it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "io/checkpoint.h"
#include "models/load_options.h"
#include "ops/weight.h"

namespace atelier {

// Where a logical matrix or vector stands in one checkpoint dialect: rows first, first + step, … of a
// published tensor. A default-constructed Source means "not published in this dialect".
struct Source {
  std::string name;
  uint64_t first = 0;  // first row (of a matrix) or element (of a vector) inside the published tensor
  uint64_t step = 1;   // distance to the next; 2 where gate and up rows alternate
  uint64_t total = 0;  // rows of the published tensor (per expert); 0: exactly the rows of this entry

  Source() = default;
  Source(std::string tensor) : name(std::move(tensor)) {}
  Source(const char* tensor) : name(tensor) {}
  Source(std::string tensor, uint64_t first_row, uint64_t row_step, uint64_t total_rows)
      : name(std::move(tensor)), first(first_row), step(row_step), total(total_rows) {}
};

struct Sources {
  Source gguf, hf, original;
  const Source& in(Dialect dialect) const;
};

// How the rows of a query or key projection are ordered within a head.
enum class RowOrder {
  kPlain,
  // Rotary halves in HF files, adjacent pairs in GGUF and Meta's: loading reorders rows to halves, for free.
  kRotary,
};

enum class Presence {
  kRequired,
  kOptional,  // absent: the weight or vector stays empty
};

struct MatrixOptions {
  Presence presence = Presence::kRequired;
  RowOrder order = RowOrder::kPlain;
  uint64_t head_dim = 0;  // of the reordered heads; needed with kRotary
  // HF publishes [cols, rows] (GPT-2's Conv1D, gpt-oss's experts where they are not MXFP4): turned round on
  // loading. Source then counts columns of the published tensor.
  bool transposed = false;
  bool keep_format = false;  // whatever LoadOptions say
  bool streamed = true;  // false: an embedding, of which a token reads one row; such a matrix is not packed
};

struct VectorOptions {
  Presence presence = Presence::kRequired;
  RowOrder order = RowOrder::kPlain;  // biases follow their matrix
  uint64_t head_dim = 0;
  float hf_offset = 0;  // added to what HF publishes (Gemma's norms: weight − 1 there, weight in GGUF)
};

// One logical tensor. Experts are stacked along an outer dimension in every dialect we read: [n_experts,
// rows, cols].
struct WeightSpec {
  enum class Kind { kMatrix, kVector, kExpertMatrices, kExpertVectors };
  Kind kind = Kind::kMatrix;
  Sources sources;
  uint64_t n_experts = 1;
  uint64_t rows = 0;
  uint64_t cols = 1;  // 1 for vectors
  MatrixOptions matrix_options;
  VectorOptions vector_options;

  Weight* weight = nullptr;                       // kMatrix
  std::vector<Weight>* expert_weights = nullptr;  // kExpertMatrices: [n_experts]
  std::vector<float>* values = nullptr;           // kVector: [rows]; kExpertVectors: [n_experts · rows]

  Presence presence() const;
  bool is_vector() const { return kind == Kind::kVector || kind == Kind::kExpertVectors; }
  bool is_stacked() const { return kind == Kind::kExpertMatrices || kind == Kind::kExpertVectors; }
  bool is_transposed(Dialect dialect) const;
  // Rows of the published tensor that holds this one, per expert (columns where it is transposed).
  uint64_t published_rows(Dialect dialect) const;
  // Shape of that tensor, unless it is split into blocks and scales.
  Shape published_shape(Dialect dialect) const;
  // Where row (of a vector: element) `row` of this entry stands among the published ones.
  uint64_t published_row(uint64_t row, Dialect dialect) const;
  // The other way round; nothing where the published row belongs to another entry.
  std::optional<uint64_t> row_at(uint64_t published_row, Dialect dialect) const;
};

class WeightTable {
 public:
  void matrix(Weight& weight, Sources sources, uint64_t rows, uint64_t cols, MatrixOptions options = {});
  void vector(std::vector<float>& values, Sources sources, uint64_t size, VectorOptions options = {});
  void expert_matrices(std::vector<Weight>& weights, Sources sources, uint64_t n_experts, uint64_t rows,
                       uint64_t cols, MatrixOptions options = {});
  void expert_vectors(std::vector<float>& values, Sources sources, uint64_t n_experts, uint64_t size);

  std::span<const WeightSpec> specs() const { return specs_; }

  // Binds every entry to its tensor. Memory for turned-round matrices is kept in `owned`, which must live as
  // long as the weights. Errors name the tensor, the expected and the found shape or format.
  Status load(const Checkpoint& checkpoint, std::vector<RawBuffer>& owned,
              const LoadOptions& options = {}) const;

 private:
  WeightSpec& add(WeightSpec::Kind kind, Sources sources, uint64_t n_experts, uint64_t rows, uint64_t cols);
  std::vector<WeightSpec> specs_;
};

}  // namespace atelier
