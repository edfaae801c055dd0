#include "models/weight_table.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "formats/decode.h"
#include "formats/fp8.h"

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
  uint64_t rows_per_scale = 1;

  EncodedRow row(uint64_t r) const {
    return {data + r * row_bytes,
            scales == nullptr ? nullptr : scales + r / rows_per_scale * scale_row_bytes};
  }
};

tl::unexpected<Error> wrong_shape(const WeightSpec& spec, const TensorView& tensor, Dialect dialect) {
  return fail(ErrorCode::kCorrupt, "tensor {}: expected shape {}, found {}", tensor.name,
              spec.published_shape(dialect).to_string(), tensor.shape.to_string());
}

tl::unexpected<Error> no_such_tensor(const WeightSpec& spec, Dialect dialect) {
  return fail(ErrorCode::kNotFound, "tensor {}: expected shape {}, found no such tensor",
              spec.sources.in(dialect).name, spec.published_shape(dialect).to_string());
}

Status check_weight_format(const TensorView& tensor) {
  // FP8 comes with a tensor of scales, which only matrices have: find_f8.
  if (dtype_info(tensor.dtype).is_weight && tensor.dtype != DType::kF8E4M3) return {};
  return fail(ErrorCode::kUnsupported, "tensor {}: expected a weight format, found {}", tensor.name,
              dtype_info(tensor.dtype).name);
}

// FP8 as DeepSeek and Qwen publish it: NAME_scale_inv holds one scale for each 128 × 128 tile, the last of
// them ragged, as F32 or BF16.
Result<StoredRows> find_f8(const WeightSpec& spec, const TensorView& tensor, const Checkpoint& checkpoint,
                           std::vector<RawBuffer>& owned) {
  constexpr std::string_view kSuffix = "_scale_inv";
  const std::string name = std::string(tensor.name) + std::string(kSuffix);
  if (spec.is_stacked() || spec.is_transposed(checkpoint.dialect()))
    return fail(ErrorCode::kUnsupported, "tensor {}: expected F32, F16 or BF16, found F8_E4M3", tensor.name);
  const Shape want = {ceil_div(tensor.shape[0], uint64_t{kF8TileCols}),
                      ceil_div(tensor.shape[1], uint64_t{kF8TileCols})};
  const TensorView* scales = checkpoint.find(name);
  if (scales == nullptr)
    return fail(ErrorCode::kNotFound, "tensor {}: expected shape {}, found no such tensor", name,
                want.to_string());
  if (scales->shape != want || (scales->dtype != DType::kF32 && scales->dtype != DType::kBF16))
    return fail(ErrorCode::kCorrupt, "tensor {}: expected F32 or BF16 {}, found {} {}", name,
                want.to_string(), dtype_info(scales->dtype).name, scales->shape.to_string());
  std::vector<float> values(want.elems());
  decode_row(scales->dtype, scales->bytes, values);
  const RawBuffer& kept = owned.emplace_back(values.size() * sizeof(float));
  std::memcpy(kept.data(), values.data(), values.size() * sizeof(float));
  return StoredRows{.dtype = DType::kF8E4M3,
                    .data = tensor.bytes.data(),
                    .scales = kept.data(),
                    .row_bytes = tensor.shape[1],
                    .scale_row_bytes = want[1] * sizeof(float),
                    .rows_per_scale = kF8TileCols};
}

// The published tensor behind `spec`, seen as rows of as many elements as it has columns.
Result<StoredRows> find_matrix(const WeightSpec& spec, const TensorView& tensor, const Checkpoint& checkpoint,
                               std::vector<RawBuffer>& owned) {
  const Dialect dialect = checkpoint.dialect();
  if (tensor.shape != spec.published_shape(dialect)) return wrong_shape(spec, tensor, dialect);
  if (tensor.dtype == DType::kF8E4M3) return find_f8(spec, tensor, checkpoint, owned);
  ATELIER_CHECK_OK(check_weight_format(tensor));
  return StoredRows{.dtype = tensor.dtype,
                    .data = tensor.bytes.data(),
                    .row_bytes = *row_bytes(tensor.dtype, tensor.shape.cols())};
}

Result<StoredRows> find_split_mxfp4(const WeightSpec& spec, const SplitMxfp4& split, Dialect dialect) {
  const uint64_t rows = spec.published_rows(dialect);
  const uint64_t blocks = spec.cols / 32;
  const Shape want_blocks =
      spec.is_stacked() ? Shape{spec.n_experts, rows, blocks, 16} : Shape{rows, blocks, 16};
  const Shape want_scales = spec.is_stacked() ? Shape{spec.n_experts, rows, blocks} : Shape{rows, blocks};
  for (const auto& [tensor, want] :
       {std::pair{split.blocks, want_blocks}, std::pair{split.scales, want_scales}}) {
    if (tensor->dtype != DType::kU8 || tensor->shape != want || spec.cols % 32 != 0)
      return fail(ErrorCode::kCorrupt, "tensor {}: expected U8 {}, found {} {}", tensor->name,
                  want.to_string(), dtype_info(tensor->dtype).name, tensor->shape.to_string());
  }
  return StoredRows{.dtype = DType::kMXFP4,
                    .data = split.blocks->bytes.data(),
                    .scales = split.scales->bytes.data(),
                    .row_bytes = spec.cols / 2,
                    .scale_row_bytes = blocks};
}

// Row i of a head in half order stands at this row when the file keeps rotary pairs adjacent.
uint64_t adjacent_row(uint64_t row, uint64_t head_dim) {
  const uint64_t head = row / head_dim, i = row % head_dim, half = head_dim / 2;
  return head * head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
}

// The inverse.
uint64_t halves_row(uint64_t row, uint64_t head_dim) {
  const uint64_t head = row / head_dim, i = row % head_dim;
  return head * head_dim + i / 2 + (i % 2 == 0 ? 0 : head_dim / 2);
}

// The rows of an entry where the tensor has them; listed one by one only where their order is not the file's.
EncodedRows place_rows(const StoredRows& stored, const WeightSpec& spec, Dialect dialect, uint64_t expert) {
  const uint64_t base = expert * spec.published_rows(dialect);
  const bool reordered = spec.matrix_options.order == RowOrder::kRotary && dialect != Dialect::kHf;
  if (!reordered && stored.rows_per_scale == 1) {
    const auto step = static_cast<ptrdiff_t>(spec.sources.in(dialect).step);
    return {stored.row(base + spec.published_row(0, dialect)),
            {.data = step * static_cast<ptrdiff_t>(stored.row_bytes),
             .scales = step * static_cast<ptrdiff_t>(stored.scale_row_bytes)},
            spec.rows};
  }
  std::vector<EncodedRow> rows;
  rows.reserve(spec.rows);
  for (uint64_t r = 0; r < spec.rows; ++r) rows.push_back(stored.row(base + spec.published_row(r, dialect)));
  return rows;
}

Weight bind_rows(const StoredRows& stored, const WeightSpec& spec, Dialect dialect, uint64_t expert) {
  return Weight(
      {.dtype = stored.dtype, .cols = spec.cols, .rows = place_rows(stored, spec, dialect, expert)});
}

// Copies [cols, published rows] of elements of `Elem` as [rows, cols], in tiles that stay in the first cache.
template <class Elem>
void turn_round(const StoredRows& stored, const WeightSpec& spec, Dialect dialect, uint64_t expert,
                std::byte* out) {
  constexpr uint64_t kTile = 32;
  for (uint64_t r0 = 0; r0 < spec.rows; r0 += kTile)
    for (uint64_t c0 = 0; c0 < spec.cols; c0 += kTile)
      for (uint64_t r = r0; r < std::min(r0 + kTile, spec.rows); ++r) {
        const uint64_t column = spec.published_row(r, dialect);
        for (uint64_t c = c0; c < std::min(c0 + kTile, spec.cols); ++c)
          std::memcpy(out + (r * spec.cols + c) * sizeof(Elem),
                      stored.row(expert * spec.cols + c).data + column * sizeof(Elem), sizeof(Elem));
      }
}

Result<Weight> bind_transposed(const StoredRows& stored, const WeightSpec& spec, Dialect dialect,
                               uint64_t expert, std::vector<RawBuffer>& owned) {
  const size_t elem_bytes = dtype_info(stored.dtype).block_bytes;
  if (dtype_info(stored.dtype).block_elems != 1 || (elem_bytes != 2 && elem_bytes != 4))
    return fail(ErrorCode::kUnsupported, "tensor {}: expected F32, F16 or BF16, found {}",
                spec.sources.in(dialect).name, dtype_info(stored.dtype).name);
  const RawBuffer& turned = owned.emplace_back(spec.rows * spec.cols * elem_bytes);
  if (elem_bytes == 2) {
    turn_round<uint16_t>(stored, spec, dialect, expert, turned.data());
  } else {
    turn_round<uint32_t>(stored, spec, dialect, expert, turned.data());
  }
  return Weight(
      {.dtype = stored.dtype,
       .cols = spec.cols,
       .rows = {
           {.data = turned.data()}, {.data = static_cast<ptrdiff_t>(spec.cols * elem_bytes)}, spec.rows}});
}

Status load_matrix(const Checkpoint& checkpoint, const WeightSpec& spec, std::vector<RawBuffer>& owned) {
  const Dialect dialect = checkpoint.dialect();
  const std::string& name = spec.sources.in(dialect).name;
  const TensorView* whole = checkpoint.find(name);
  const SplitMxfp4 split{checkpoint.find(name + std::string(blocks_suffix(dialect))),
                         checkpoint.find(name + std::string(scales_suffix(dialect)))};
  if (whole == nullptr && (split.blocks == nullptr || split.scales == nullptr)) {
    if (spec.presence() == Presence::kOptional) return {};
    return no_such_tensor(spec, dialect);
  }
  ATELIER_TRY(const StoredRows stored, whole != nullptr ? find_matrix(spec, *whole, checkpoint, owned)
                                                        : find_split_mxfp4(spec, split, dialect));
  const auto bind = [&](uint64_t expert) -> Result<Weight> {
    if (whole != nullptr && spec.is_transposed(dialect))
      return bind_transposed(stored, spec, dialect, expert, owned);
    return bind_rows(stored, spec, dialect, expert);
  };
  if (spec.kind == WeightSpec::Kind::kMatrix) {
    ATELIER_TRY(*spec.weight, bind(0));
    return {};
  }
  spec.expert_weights->clear();
  for (uint64_t expert = 0; expert < spec.n_experts; ++expert) {
    ATELIER_TRY(Weight weight, bind(expert));
    spec.expert_weights->push_back(std::move(weight));
  }
  return {};
}

void pack_as_q8(const WeightSpec& spec) {
  if (spec.is_vector() || spec.matrix_options.keep_format) return;
  const auto mark = [](Weight& weight) {
    const bool plain = dtype_info(weight.dtype()).block_elems == 1 && weight.dtype() != DType::kF8E4M3;
    if (plain && !weight.empty() && row_bytes(DType::kQ8_0, weight.cols())) weight.pack_as(DType::kQ8_0);
  };
  if (spec.kind == WeightSpec::Kind::kMatrix) return mark(*spec.weight);
  for (Weight& expert : *spec.expert_weights) mark(expert);
}

Status load_vector(const Checkpoint& checkpoint, const WeightSpec& spec) {
  const Dialect dialect = checkpoint.dialect();
  const TensorView* tensor = checkpoint.find(spec.sources.in(dialect).name);
  if (tensor == nullptr) {
    if (spec.presence() == Presence::kOptional) return {};
    return no_such_tensor(spec, dialect);
  }
  if (tensor->shape != spec.published_shape(dialect)) return wrong_shape(spec, *tensor, dialect);
  ATELIER_CHECK_OK(check_weight_format(*tensor));
  const uint64_t published = spec.published_rows(dialect);
  std::vector<float> all(spec.n_experts * published);
  decode_row(tensor->dtype, tensor->bytes, all);
  spec.values->resize(spec.n_experts * spec.rows);
  const float offset = dialect == Dialect::kHf ? spec.vector_options.hf_offset : 0.0f;
  for (uint64_t expert = 0; expert < spec.n_experts; ++expert)
    for (uint64_t i = 0; i < spec.rows; ++i)
      (*spec.values)[expert * spec.rows + i] =
          all[expert * published + spec.published_row(i, dialect)] + offset;
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

Presence WeightSpec::presence() const {
  return is_vector() ? vector_options.presence : matrix_options.presence;
}

bool WeightSpec::is_transposed(Dialect dialect) const {
  return matrix_options.transposed && dialect == Dialect::kHf;
}

uint64_t WeightSpec::published_rows(Dialect dialect) const {
  const uint64_t total = sources.in(dialect).total;
  return total != 0 ? total : rows;
}

Shape WeightSpec::published_shape(Dialect dialect) const {
  Shape shape;
  const uint64_t published = published_rows(dialect);
  if (is_stacked()) shape.dims[shape.rank++] = n_experts;
  if (is_transposed(dialect)) shape.dims[shape.rank++] = cols;
  shape.dims[shape.rank++] = published;
  if (!is_vector() && !is_transposed(dialect)) shape.dims[shape.rank++] = cols;
  return shape;
}

uint64_t WeightSpec::published_row(uint64_t row, Dialect dialect) const {
  const RowOrder order = is_vector() ? vector_options.order : matrix_options.order;
  const uint64_t head_dim = is_vector() ? vector_options.head_dim : matrix_options.head_dim;
  if (order == RowOrder::kRotary && dialect != Dialect::kHf) row = adjacent_row(row, head_dim);
  const Source& source = sources.in(dialect);
  return source.first + row * source.step;
}

std::optional<uint64_t> WeightSpec::row_at(uint64_t published, Dialect dialect) const {
  const Source& source = sources.in(dialect);
  if (published < source.first || (published - source.first) % source.step != 0) return std::nullopt;
  const uint64_t row = (published - source.first) / source.step;
  if (row >= rows) return std::nullopt;
  const RowOrder order = is_vector() ? vector_options.order : matrix_options.order;
  const uint64_t head_dim = is_vector() ? vector_options.head_dim : matrix_options.head_dim;
  return order == RowOrder::kRotary && dialect != Dialect::kHf ? halves_row(row, head_dim) : row;
}

WeightSpec& WeightTable::add(WeightSpec::Kind kind, Sources sources, uint64_t n_experts, uint64_t rows,
                             uint64_t cols) {
  WeightSpec& spec = specs_.emplace_back();
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
  WeightSpec& spec = add(WeightSpec::Kind::kMatrix, std::move(sources), 1, rows, cols);
  spec.matrix_options = options;
  spec.weight = &weight;
}

void WeightTable::vector(std::vector<float>& values, Sources sources, uint64_t size, VectorOptions options) {
  WeightSpec& spec = add(WeightSpec::Kind::kVector, std::move(sources), 1, size, 1);
  spec.vector_options = options;
  spec.values = &values;
}

void WeightTable::expert_matrices(std::vector<Weight>& weights, Sources sources, uint64_t n_experts,
                                  uint64_t rows, uint64_t cols, MatrixOptions options) {
  WeightSpec& spec = add(WeightSpec::Kind::kExpertMatrices, std::move(sources), n_experts, rows, cols);
  spec.matrix_options = options;
  spec.expert_weights = &weights;
}

void WeightTable::expert_vectors(std::vector<float>& values, Sources sources, uint64_t n_experts,
                                 uint64_t size) {
  WeightSpec& spec = add(WeightSpec::Kind::kExpertVectors, std::move(sources), n_experts, size, 1);
  spec.values = &values;
}

Status WeightTable::load(const Checkpoint& checkpoint, std::vector<RawBuffer>& owned,
                         const LoadOptions& options) const {
  for (const WeightSpec& spec : specs_) {
    if (spec.sources.in(checkpoint.dialect()).name.empty()) {
      if (spec.presence() == Presence::kOptional) continue;
      return fail(ErrorCode::kUnsupported,
                  "{} checkpoints of this architecture are not published with tensor {}",
                  dialect_name(checkpoint.dialect()), spec.sources.gguf.name);
    }
    ATELIER_CHECK_OK(spec.is_vector() ? load_vector(checkpoint, spec) : load_matrix(checkpoint, spec, owned));
    if (options.dense == DenseWeights::kQ8) pack_as_q8(spec);
  }
  return {};
}

}  // namespace atelier
