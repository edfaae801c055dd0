#include "models/synth_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/checked.h"
#include "formats/encode.h"
#include "models/synth_fill.h"

namespace atelier {
namespace {

// What the streams of an entry are named after, in whatever dialect it is written.
const std::string& stream_name(const WeightSpec& entry) { return entry.sources.gguf.name; }

bool is_published(const SynthPlan& plan, const WeightSpec& entry, Dialect dialect) {
  if (entry.sources.in(dialect).name.empty()) return false;
  return entry.presence() == Presence::kRequired ||
         std::ranges::find(plan.optional, stream_name(entry)) != plan.optional.end();
}

// "blk.12.ffn_down.weight" → 12; 0 outside of layers.
size_t layer_of(std::string_view gguf_name) {
  constexpr std::string_view kPrefix = "blk.";
  size_t layer = 0;
  if (gguf_name.starts_with(kPrefix))
    for (size_t i = kPrefix.size(); i < gguf_name.size() && gguf_name[i] >= '0' && gguf_name[i] <= '9'; ++i)
      layer = 10 * layer + static_cast<size_t>(gguf_name[i] - '0');
  return layer;
}

// Layers whose values and down projections get more bits in llama.cpp's Q4_K_M: the first and last eighth,
// and every third between.
bool wants_more_bits(size_t layer, size_t n_layers) {
  const size_t eighth = n_layers / 8;
  return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

// The next format up that tiles rows of `cols`.
DType tiling(DType wanted, uint64_t cols) {
  if (cols % dtype_info(wanted).block_elems == 0) return wanted;
  if (cols % 32 != 0) return DType::kF16;
  return wanted == DType::kQ4_K ? DType::kQ5_0 : DType::kQ8_0;
}

DType quantised_type(const SynthPlan& plan, const WeightSpec& entry, SynthFormat format, size_t n_layers) {
  const std::string_view name = stream_name(entry);
  // Logits come out of the embedding where there is no head.
  const bool head = name == "output.weight" || (name == "token_embd.weight" && plan.tied_head);
  switch (format) {
    case SynthFormat::kQ8_0:
      return tiling(DType::kQ8_0, entry.cols);
    case SynthFormat::kQ4_0:
      return tiling(head ? DType::kQ6_K : DType::kQ4_0, entry.cols);
    case SynthFormat::kQ4_1:
      return tiling(head ? DType::kQ6_K : DType::kQ4_1, entry.cols);
    default: {
      const bool sensitive =
          name.find("attn_v") != std::string_view::npos || name.find("ffn_down") != std::string_view::npos;
      const bool more = head || (sensitive && wants_more_bits(layer_of(name), n_layers));
      return tiling(more ? DType::kQ6_K : DType::kQ4_K, entry.cols);
    }
  }
}

DType gguf_type(const SynthPlan& plan, const WeightSpec& entry, SynthFormat format, size_t n_layers) {
  const std::string_view name = stream_name(entry);
  const bool kept = name.find("ffn_gate_inp") != std::string_view::npos || name == "position_embd.weight";
  if (entry.is_vector() || kept) return DType::kF32;
  switch (format) {
    case SynthFormat::kAsPublished:
      return tiling(entry.is_stacked() ? plan.experts : plan.matrices, entry.cols);
    case SynthFormat::kF32:
      return DType::kF32;
    case SynthFormat::kF16:
      return DType::kF16;
    case SynthFormat::kBF16:
      return DType::kBF16;
    default:
      return quantised_type(plan, entry, format, n_layers);
  }
}

Result<DType> safetensors_type(const SynthPlan& plan, const WeightSpec& entry, SynthFormat format) {
  switch (format) {
    case SynthFormat::kAsPublished:
      if (entry.is_vector()) return plan.vectors;
      return entry.is_stacked() ? plan.experts : plan.matrices;
    case SynthFormat::kF32:
      return DType::kF32;
    case SynthFormat::kF16:
      return DType::kF16;
    case SynthFormat::kBF16:
      return DType::kBF16;
    default:
      return fail(ErrorCode::kInvalidArgument,
                  "synth: format: expected as-published, f32, f16 or bf16 outside of GGUF, found a "
                  "quantised one");
  }
}

// The two tensors in which OpenAI publishes MXFP4.
std::pair<PublishedTensor, PublishedTensor> split_mxfp4(const PublishedTensor& whole, Dialect dialect) {
  const std::string separator = dialect == Dialect::kOriginal ? "." : "_";
  PublishedTensor blocks = whole, scales = whole;
  Shape shape = whole.file.shape;
  ATELIER_CHECK(shape.rank >= 1 && shape.rank < kMaxRank);
  shape.dims[shape.rank - 1] /= 32;
  scales.part = PublishedTensor::Part::kScales;
  scales.file = {whole.file.name + separator + "scales", DType::kU8, shape};
  shape.dims[shape.rank++] = 16;
  blocks.part = PublishedTensor::Part::kBlocks;
  blocks.file = {whole.file.name + separator + "blocks", DType::kU8, shape};
  return {blocks, scales};
}

// [expert, rows, cols] even where the whole tensors of the dialect are turned round.
Shape upright_shape(const WeightSpec& entry, Dialect dialect) {
  Shape shape;
  if (entry.is_stacked()) shape.dims[shape.rank++] = entry.n_experts;
  shape.dims[shape.rank++] = entry.published_rows(dialect);
  shape.dims[shape.rank++] = entry.cols;
  return shape;
}

}  // namespace

Result<std::vector<PublishedTensor>> published_tensors(const SynthPlan& plan, Dialect dialect,
                                                       SynthFormat format) {
  size_t n_layers = 0;
  for (const WeightSpec& entry : plan.table.specs())
    n_layers = std::max(n_layers, layer_of(stream_name(entry)) + 1);
  std::vector<PublishedTensor> tensors;
  for (const WeightSpec& entry : plan.table.specs()) {
    if (!is_published(plan, entry, dialect)) continue;
    const std::string& name = entry.sources.in(dialect).name;
    const auto fused = std::ranges::find_if(
        tensors, [&](const PublishedTensor& tensor) { return tensor.file.name == name; });
    if (fused != tensors.end()) {
      fused->entries.push_back(&entry);
      continue;
    }
    DType dtype = gguf_type(plan, entry, format, n_layers);
    if (dialect != Dialect::kGguf) {
      ATELIER_TRY(dtype, safetensors_type(plan, entry, format));
    }
    PublishedTensor tensor;
    tensor.file = {name, dtype, entry.published_shape(dialect)};
    tensor.dtype = dtype;
    tensor.entries.push_back(&entry);
    tensors.push_back(std::move(tensor));
  }
  for (const auto& [name, values] : plan.extra_vectors) {
    PublishedTensor tensor;
    tensor.file = {name, DType::kF32, Shape{values.size()}};
    tensor.values = values;
    tensors.push_back(std::move(tensor));
  }
  if (dialect == Dialect::kGguf) return tensors;
  std::vector<PublishedTensor> split;
  for (PublishedTensor& tensor : tensors) {
    if (tensor.dtype != DType::kMXFP4) {
      split.push_back(std::move(tensor));
      continue;
    }
    tensor.file.shape = upright_shape(*tensor.entries.front(), dialect);
    auto [blocks, scales] = split_mxfp4(tensor, dialect);
    split.push_back(std::move(blocks));
    split.push_back(std::move(scales));
  }
  return split;
}

// Products keep the scale of their input. Logits are spread a little wider, so that some tokens are likelier
// than others; an embedding that serves as head too keeps logits in that range.
double TensorFiller::deviation(const WeightSpec& entry) const {
  constexpr double kLogitDeviation = 3;
  const std::string_view name = stream_name(entry);
  const double per_product = 1 / std::sqrt(static_cast<double>(entry.cols));
  const bool embedding = name == "token_embd.weight";
  if (name == "output.weight" || (embedding && plan_->tied_head)) return kLogitDeviation * per_product;
  return embedding ? 1.0 : per_product;
}

void TensorFiller::fill(const PublishedTensor& tensor, uint64_t first_row, std::span<std::byte> rows) {
  if (!tensor.values.empty()) {
    ATELIER_CHECK(first_row == 0 && rows.size() == tensor.values.size_bytes());
    std::memcpy(rows.data(), tensor.values.data(), rows.size());
    return;
  }
  const WeightSpec& entry = *tensor.entries.front();
  if (entry.is_vector()) return fill_vectors(tensor, first_row, rows);
  if (tensor.part == PublishedTensor::Part::kWhole && entry.is_transposed(dialect_))
    return fill_transposed(tensor, first_row, rows);
  fill_matrix(tensor, first_row, rows);
}

void TensorFiller::fill_vectors(const PublishedTensor& tensor, uint64_t first_row,
                                std::span<std::byte> rows) const {
  const size_t cols = tensor.file.shape.cols();
  const size_t bytes = *row_bytes(tensor.dtype, cols);
  std::vector<float> published(cols), values;
  for (uint64_t expert = first_row; !rows.empty(); ++expert, rows = rows.subspan(bytes)) {
    for (const WeightSpec* entry : tensor.entries) {
      const std::string_view name = stream_name(*entry);
      const bool norm = name.ends_with("norm.weight");
      const bool sinks = name.ends_with("sinks.weight");
      const float offset = dialect_ == Dialect::kHf ? entry->vector_options.hf_offset : 0.0f;
      values.resize(entry->rows);
      fill_vector(fill_key(seed_, name, expert, 0), norm ? 1.0f - offset : 0.0f, sinks ? 1.0 : 0.1, values);
      for (uint64_t i = 0; i < entry->rows; ++i) published[entry->published_row(i, dialect_)] = values[i];
    }
    encode_row(tensor.dtype, published, rows.first(bytes));
  }
}

// `row`: of all experts' published rows, one after the other.
void TensorFiller::fill_matrix_row(const PublishedTensor& tensor, uint64_t row,
                                   std::span<std::byte> out) const {
  const uint64_t per_expert = tensor.entries.front()->published_rows(dialect_);
  for (const WeightSpec* entry : tensor.entries) {
    const std::optional<uint64_t> own = entry->row_at(row % per_expert, dialect_);
    if (!own) continue;
    const FillKey key = fill_key(seed_, stream_name(*entry), row / per_expert, *own);
    switch (tensor.part) {
      case PublishedTensor::Part::kWhole:
        return fill_row(tensor.dtype, key, deviation(*entry), entry->cols, out);
      case PublishedTensor::Part::kBlocks:
        return fill_mxfp4_blocks(key, out);
      case PublishedTensor::Part::kScales:
        return fill_mxfp4_scales(key, deviation(*entry), out);
    }
  }
  std::ranges::fill(out, std::byte{0});  // a row of nobody's
}

void TensorFiller::fill_matrix(const PublishedTensor& tensor, uint64_t first_row,
                               std::span<std::byte> rows) const {
  const uint64_t cols = tensor.entries.front()->cols;
  const size_t file_row_bytes = *row_bytes(tensor.file.dtype, tensor.file.shape.cols());
  const size_t bytes = tensor.part == PublishedTensor::Part::kWhole    ? file_row_bytes
                       : tensor.part == PublishedTensor::Part::kBlocks ? cols / 2
                                                                       : cols / 32;
  // Where file rows are single blocks, the part asked for may begin and end inside a row of weights.
  const uint64_t begin = first_row * file_row_bytes, end = begin + rows.size();
  const uint64_t first = begin / bytes, n_rows = ceil_div<uint64_t>(end, bytes) - first;
  constexpr size_t kTaskBytes = 128 << 10;
  const uint64_t rows_per_task = std::max<uint64_t>(1, kTaskBytes / bytes);
  pool_->run(ceil_div(n_rows, rows_per_task), [&](size_t task, size_t) {
    std::vector<std::byte> partial;
    for (uint64_t r = task * rows_per_task; r < std::min((task + 1) * rows_per_task, n_rows); ++r) {
      const uint64_t row_begin = (first + r) * bytes, row_end = row_begin + bytes;
      if (row_begin >= begin && row_end <= end) {
        fill_matrix_row(tensor, first + r, rows.subspan(row_begin - begin, bytes));
        continue;
      }
      partial.resize(bytes);
      fill_matrix_row(tensor, first + r, partial);
      const uint64_t from = std::max(begin, row_begin), to = std::min(end, row_end);
      std::memcpy(rows.data() + (from - begin), partial.data() + (from - row_begin), to - from);
    }
  });
}

// File row e · cols + c holds column c of expert e: all rows of the expert are made upright first.
void TensorFiller::fill_transposed(const PublishedTensor& tensor, uint64_t first_row,
                                   std::span<std::byte> rows) {
  const WeightSpec& entry = *tensor.entries.front();
  const uint64_t n_rows = entry.published_rows(dialect_), cols = entry.cols;
  const size_t elem_bytes = dtype_info(tensor.dtype).block_bytes;
  const size_t upright_row_bytes = cols * elem_bytes;
  for (uint64_t row = first_row; !rows.empty(); ++row, rows = rows.subspan(n_rows * elem_bytes)) {
    const uint64_t expert = row / cols, column = row % cols;
    if (upright_of_ != &tensor || upright_expert_ != expert) {
      if (upright_.size() < n_rows * upright_row_bytes) upright_ = RawBuffer(n_rows * upright_row_bytes);
      pool_->run(n_rows, [&](size_t r, size_t) {
        fill_matrix_row(tensor, expert * n_rows + r,
                        {upright_.data() + r * upright_row_bytes, upright_row_bytes});
      });
      upright_of_ = &tensor;
      upright_expert_ = expert;
    }
    for (uint64_t r = 0; r < n_rows; ++r)
      std::memcpy(rows.data() + r * elem_bytes, upright_.data() + r * upright_row_bytes + column * elem_bytes,
                  elem_bytes);
  }
}

}  // namespace atelier
