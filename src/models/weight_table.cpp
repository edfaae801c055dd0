#include "models/weight_table.h"

#include <algorithm>

#include "base/checked.h"
#include "formats/decode.h"

namespace atelier {
namespace {

// OpenAI publishes an MXFP4 tensor as two: blocks and scales, named with these endings (HF and original).
struct SplitMxfp4 {
  const TensorView* blocks = nullptr;
  const TensorView* scales = nullptr;
};

std::string_view blocks_suffix(Dialect dialect) {
  return dialect == Dialect::kOriginal ? ".blocks" : "_blocks";
}
std::string_view scales_suffix(Dialect dialect) {
  return dialect == Dialect::kOriginal ? ".scales" : "_scales";
}

// Rows of one stored tensor, addressable by number, whatever its format.
struct StoredRows {
  DType dtype = DType::kF32;
  const std::byte* data = nullptr;
  const std::byte* scales = nullptr;
  size_t row_bytes = 0;
  size_t scale_row_bytes = 0;

  EncodedRow row(uint64_t r) const {
    return {data + r * row_bytes, scales == nullptr ? nullptr : scales + r * scale_row_bytes};
  }
};

std::string expected_shape(const TensorSpec& spec, uint64_t rows) {
  Shape shape;
  const bool stacked =
      spec.kind == TensorSpec::Kind::kExpertMatrices || spec.kind == TensorSpec::Kind::kExpertVectors;
  const bool matrix =
      spec.kind == TensorSpec::Kind::kMatrix || spec.kind == TensorSpec::Kind::kExpertMatrices;
  if (stacked) shape.dims[shape.rank++] = spec.n_experts;
  shape.dims[shape.rank++] = rows;
  if (matrix) shape.dims[shape.rank++] = spec.cols;
  return shape.to_string();
}

tl::unexpected<Error> wrong_shape(const TensorSpec& spec, const TensorView& tensor, uint64_t rows) {
  return fail(ErrorCode::kCorrupt, "tensor {}: expected shape {}, found {}", tensor.name,
              expected_shape(spec, rows), tensor.shape.to_string());
}

Status check_weight_format(const TensorView& tensor) {
  if (dtype_info(tensor.dtype).is_weight) return {};
  return fail(ErrorCode::kUnsupported, "tensor {}: expected a weight format, found {}", tensor.name,
              dtype_info(tensor.dtype).name);
}

// The published tensor behind `spec`, seen as n_experts · rows rows of spec.cols elements.
Result<StoredRows> find_matrix(const Checkpoint& checkpoint, const TensorSpec& spec,
                               const TensorView& tensor) {
  const uint64_t rows = spec.published_rows(checkpoint.dialect());
  const bool stacked = spec.kind == TensorSpec::Kind::kExpertMatrices;
  const Shape want = stacked ? Shape{spec.n_experts, rows, spec.cols} : Shape{rows, spec.cols};
  if (tensor.shape != want) return wrong_shape(spec, tensor, rows);
  ATELIER_CHECK_OK(check_weight_format(tensor));
  return StoredRows{tensor.dtype, tensor.bytes.data(), nullptr, *row_bytes(tensor.dtype, spec.cols), 0};
}

Result<StoredRows> find_split_mxfp4(const Checkpoint& checkpoint, const TensorSpec& spec,
                                    const SplitMxfp4& split) {
  const uint64_t rows = spec.published_rows(checkpoint.dialect());
  const uint64_t blocks = spec.cols / 32;
  const bool stacked = spec.kind == TensorSpec::Kind::kExpertMatrices;
  const Shape want_blocks = stacked ? Shape{spec.n_experts, rows, blocks, 16} : Shape{rows, blocks, 16};
  const Shape want_scales = stacked ? Shape{spec.n_experts, rows, blocks} : Shape{rows, blocks};
  for (const auto& [tensor, want] :
       {std::pair{split.blocks, want_blocks}, std::pair{split.scales, want_scales}}) {
    if (tensor->dtype != DType::kU8 || tensor->shape != want || spec.cols % 32 != 0)
      return fail(ErrorCode::kCorrupt, "tensor {}: expected U8 {}, found {} {}", tensor->name,
                  want.to_string(), dtype_info(tensor->dtype).name, tensor->shape.to_string());
  }
  return StoredRows{DType::kMXFP4, split.blocks->bytes.data(), split.scales->bytes.data(), spec.cols / 2,
                    blocks};
}

// Row i of a head in half order stands at this row when the file keeps rotary pairs adjacent.
uint64_t adjacent_row(uint64_t row, uint64_t head_dim) {
  const uint64_t head = row / head_dim, i = row % head_dim, half = head_dim / 2;
  return head * head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
}

uint64_t file_row(uint64_t row, const Source& source, RowOrder order, uint64_t head_dim, Dialect dialect) {
  if (order == RowOrder::kRotary && dialect != Dialect::kHf) row = adjacent_row(row, head_dim);
  return source.first + row * source.step;
}

Weight bind_rows(const StoredRows& stored, const TensorSpec& spec, const Source& source, Dialect dialect,
                 uint64_t expert) {
  const MatrixOptions& options = spec.matrix_options;
  const uint64_t base = expert * spec.published_rows(dialect);
  WeightSource rows{.dtype = stored.dtype, .cols = spec.cols, .rows = {}};
  rows.rows.reserve(spec.rows);
  for (uint64_t r = 0; r < spec.rows; ++r)
    rows.rows.push_back(stored.row(base + file_row(r, source, options.order, options.head_dim, dialect)));
  return Weight(std::move(rows));
}

// Conv1D publishes [cols, rows]: decoded to float32 and turned round, since no format keeps its blocks across
// that.
Result<Weight> bind_transposed(const TensorView& tensor, const TensorSpec& spec,
                               std::vector<Buffer<float>>& owned) {
  if (tensor.shape != Shape{spec.cols, spec.rows})
    return fail(ErrorCode::kCorrupt, "tensor {}: expected shape {}, found {}", tensor.name,
                Shape{spec.cols, spec.rows}.to_string(), tensor.shape.to_string());
  ATELIER_CHECK_OK(check_weight_format(tensor));
  const size_t stored_row_bytes = *row_bytes(tensor.dtype, spec.rows);
  Buffer<float>& turned = owned.emplace_back(spec.rows * spec.cols);
  std::vector<float> row(spec.rows);
  for (size_t c = 0; c < spec.cols; ++c) {
    decode_row(tensor.dtype, tensor.bytes.subspan(c * stored_row_bytes, stored_row_bytes), row);
    for (size_t r = 0; r < spec.rows; ++r) turned[r * spec.cols + c] = row[r];
  }
  WeightSource source{.dtype = DType::kF32, .cols = spec.cols, .rows = {}};
  for (size_t r = 0; r < spec.rows; ++r)
    source.rows.push_back({reinterpret_cast<const std::byte*>(turned.data() + r * spec.cols), nullptr});
  return Weight(std::move(source));
}

Status load_matrix(const Checkpoint& checkpoint, const TensorSpec& spec, std::vector<Buffer<float>>& owned) {
  const Dialect dialect = checkpoint.dialect();
  const Source& source = spec.sources.in(dialect);
  const TensorView* whole = checkpoint.find(source.name);
  const SplitMxfp4 split{checkpoint.find(source.name + std::string(blocks_suffix(dialect))),
                         checkpoint.find(source.name + std::string(scales_suffix(dialect)))};
  if (whole == nullptr && (split.blocks == nullptr || split.scales == nullptr)) {
    if (spec.presence() == Presence::kOptional) return {};
    return fail(ErrorCode::kNotFound, "tensor {}: expected shape {}, found no such tensor", source.name,
                expected_shape(spec, spec.published_rows(dialect)));
  }
  if (whole != nullptr && spec.matrix_options.transposed && dialect != Dialect::kGguf) {
    ATELIER_TRY(*spec.weight, bind_transposed(*whole, spec, owned));
    return {};
  }
  ATELIER_TRY(const StoredRows stored, whole != nullptr ? find_matrix(checkpoint, spec, *whole)
                                                        : find_split_mxfp4(checkpoint, spec, split));
  if (spec.kind == TensorSpec::Kind::kMatrix) {
    *spec.weight = bind_rows(stored, spec, source, dialect, 0);
    return {};
  }
  spec.expert_weights->clear();
  for (uint64_t expert = 0; expert < spec.n_experts; ++expert)
    spec.expert_weights->push_back(bind_rows(stored, spec, source, dialect, expert));
  return {};
}

Status load_vector(const Checkpoint& checkpoint, const TensorSpec& spec) {
  const Dialect dialect = checkpoint.dialect();
  const Source& source = spec.sources.in(dialect);
  const TensorView* tensor = checkpoint.find(source.name);
  const uint64_t published = spec.published_rows(dialect);
  if (tensor == nullptr) {
    if (spec.presence() == Presence::kOptional) return {};
    return fail(ErrorCode::kNotFound, "tensor {}: expected shape {}, found no such tensor", source.name,
                expected_shape(spec, published));
  }
  const bool stacked = spec.kind == TensorSpec::Kind::kExpertVectors;
  if (tensor->shape != (stacked ? Shape{spec.n_experts, published} : Shape{published}))
    return wrong_shape(spec, *tensor, published);
  ATELIER_CHECK_OK(check_weight_format(*tensor));
  std::vector<float> all(spec.n_experts * published);
  decode_row(tensor->dtype, tensor->bytes, all);
  spec.values->resize(spec.n_experts * spec.rows);
  const VectorOptions& options = spec.vector_options;
  for (uint64_t expert = 0; expert < spec.n_experts; ++expert)
    for (uint64_t i = 0; i < spec.rows; ++i)
      (*spec.values)[expert * spec.rows + i] =
          all[expert * published + file_row(i, source, options.order, options.head_dim, dialect)];
  return {};
}

}  // namespace

const Source& Sources::in(Dialect dialect) const {
  switch (dialect) {
    case Dialect::kGguf:
      return gguf;
    case Dialect::kHf:
      return hf;
    case Dialect::kOriginal:
      return original;
  }
  return gguf;
}

Presence TensorSpec::presence() const {
  return kind == Kind::kMatrix || kind == Kind::kExpertMatrices ? matrix_options.presence
                                                                : vector_options.presence;
}

uint64_t TensorSpec::published_rows(Dialect dialect) const {
  const uint64_t total = sources.in(dialect).total;
  return total != 0 ? total : rows;
}

TensorSpec& WeightTable::add(TensorSpec::Kind kind, Sources sources, uint64_t n_experts, uint64_t rows,
                             uint64_t cols) {
  TensorSpec& spec = specs_.emplace_back();
  spec.kind = kind;
  spec.sources = std::move(sources);
  spec.n_experts = n_experts;
  spec.rows = rows;
  spec.cols = cols;
  return spec;
}

void WeightTable::matrix(Weight& weight, Sources sources, uint64_t rows, uint64_t cols,
                         MatrixOptions options) {
  ATELIER_CHECK(options.order == RowOrder::kPlain || (options.head_dim != 0 && rows % options.head_dim == 0));
  TensorSpec& spec = add(TensorSpec::Kind::kMatrix, std::move(sources), 1, rows, cols);
  spec.matrix_options = options;
  spec.weight = &weight;
}

void WeightTable::vector(std::vector<float>& values, Sources sources, uint64_t size, VectorOptions options) {
  TensorSpec& spec = add(TensorSpec::Kind::kVector, std::move(sources), 1, size, 1);
  spec.vector_options = options;
  spec.values = &values;
}

void WeightTable::expert_matrices(std::vector<Weight>& weights, Sources sources, uint64_t n_experts,
                                  uint64_t rows, uint64_t cols) {
  TensorSpec& spec = add(TensorSpec::Kind::kExpertMatrices, std::move(sources), n_experts, rows, cols);
  spec.expert_weights = &weights;
}

void WeightTable::expert_vectors(std::vector<float>& values, Sources sources, uint64_t n_experts,
                                 uint64_t size) {
  TensorSpec& spec = add(TensorSpec::Kind::kExpertVectors, std::move(sources), n_experts, size, 1);
  spec.values = &values;
}

Status WeightTable::load(const Checkpoint& checkpoint, std::vector<Buffer<float>>& owned) const {
  for (const TensorSpec& spec : specs_) {
    if (spec.sources.in(checkpoint.dialect()).name.empty()) {
      if (spec.presence() == Presence::kOptional) continue;
      return fail(ErrorCode::kUnsupported,
                  "{} checkpoints of this architecture are not published with tensor {}",
                  dialect_name(checkpoint.dialect()), spec.sources.gguf.name);
    }
    const bool is_vector =
        spec.kind == TensorSpec::Kind::kVector || spec.kind == TensorSpec::Kind::kExpertVectors;
    ATELIER_CHECK_OK(is_vector ? load_vector(checkpoint, spec) : load_matrix(checkpoint, spec, owned));
  }
  return {};
}

}  // namespace atelier
