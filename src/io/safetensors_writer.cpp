#include "io/safetensors_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "io/safetensors.h"

namespace atelier {
namespace {

constexpr size_t kHeaderAlignment = 8;

struct SizedTensor {
  TensorSpec spec;
  uint64_t bytes = 0;
};

// Sizes, and the order of the file: widest elements first.
Result<std::vector<SizedTensor>> plan(std::span<const TensorSpec> tensors) {
  ATELIER_CHECK_OK(check_unique_names(tensors));
  uint64_t total = 0;
  std::array<std::vector<SizedTensor>, 4> by_width;  // elements of 8, 4, 2, 1 bytes
  for (const TensorSpec& tensor : tensors) {
    ATELIER_TRY(const uint64_t bytes, checked_tensor_bytes(tensor));
    if (!dtype_to_safetensors(tensor.dtype) || tensor.name == "__metadata__")
      return fail(ErrorCode::kInvalidArgument,
                  "tensor {}: expected a name and dtype safetensors has, found {}", tensor.name,
                  dtype_info(tensor.dtype).name);
    const auto sum = checked_add(total, bytes);
    if (!sum)
      return fail(ErrorCode::kInvalidArgument, "expected fewer than 2^64 bytes of tensors, found more");
    total = *sum;
    const size_t log2_width = static_cast<size_t>(std::countr_zero(dtype_info(tensor.dtype).block_bytes));
    by_width[3 - log2_width].push_back({tensor, bytes});
  }
  std::vector<SizedTensor> planned;
  planned.reserve(tensors.size());
  for (std::vector<SizedTensor>& group : by_width)
    std::move(group.begin(), group.end(), std::back_inserter(planned));
  return planned;
}

// Length and JSON, the latter padded with spaces.
Result<std::string> encode_header(std::span<const SizedTensor> tensors) {
  std::string text = R"({"__metadata__":{"format":"pt"})";
  uint64_t at = 0;
  for (const SizedTensor& tensor : tensors) {
    const Shape& shape = tensor.spec.shape;
    text += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        nlohmann::json(tensor.spec.name).dump(), *dtype_to_safetensors(tensor.spec.dtype),
                        fmt::join(shape.dims.begin(), shape.dims.begin() + shape.rank, ","), at,
                        at + tensor.bytes);
    at += tensor.bytes;
  }
  text += "}";
  text.resize(round_up(text.size(), kHeaderAlignment), ' ');
  if (text.size() > kMaxSafetensorsHeaderBytes)
    return fail(ErrorCode::kInvalidArgument, "expected a header of at most {} bytes, found {}",
                kMaxSafetensorsHeaderBytes, text.size());
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

uint64_t total_bytes(std::span<const SizedTensor> tensors) {
  uint64_t total = 0;
  for (const SizedTensor& tensor : tensors) total += tensor.bytes;
  return total;
}

Status write_file(const std::filesystem::path& path, std::span<const SizedTensor> tensors,
                  const FillRows& fill) {
  ATELIER_TRY(const std::string header, encode_header(tensors));
  ATELIER_TRY(DraftFile file, DraftFile::create(path, header.size() + total_bytes(tensors)));
  ATELIER_CHECK_OK(file.write(std::string_view(header)));
  std::vector<std::byte> chunk;
  for (const SizedTensor& tensor : tensors) ATELIER_CHECK_OK(write_tensor(file, tensor.spec, fill, chunk));
  return file.commit();
}

// Consecutive runs of at most `max_bytes`, or of one tensor.
std::vector<std::span<const SizedTensor>> cut(std::span<const SizedTensor> tensors, uint64_t max_bytes) {
  std::vector<std::span<const SizedTensor>> shards;
  size_t begin = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (i > begin && (tensors[i].bytes > max_bytes || bytes > max_bytes - tensors[i].bytes)) {
      shards.push_back(tensors.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += tensors[i].bytes;
  }
  shards.push_back(tensors.subspan(begin));
  return shards;
}

}  // namespace

Status SafetensorsWriter::write(const std::filesystem::path& path, const FillRows& fill) const {
  ATELIER_TRY(const std::vector<SizedTensor> tensors, plan(tensors_));
  return write_file(path, tensors, fill);
}

Status SafetensorsWriter::write_folder(const std::filesystem::path& folder, uint64_t max_shard_bytes,
                                       const FillRows& fill) const {
  ATELIER_TRY(const std::vector<SizedTensor> tensors, plan(tensors_));
  const auto shards = cut(tensors, max_shard_bytes);
  if (shards.size() == 1) return write_file(folder / "model.safetensors", tensors, fill);
  nlohmann::json index = {{"metadata", {{"total_size", total_bytes(tensors)}}},
                          {"weight_map", nlohmann::json::object()}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    ATELIER_CHECK_OK(write_file(folder / name, shards[i], fill));
    for (const SizedTensor& tensor : shards[i]) index["weight_map"][tensor.spec.name] = name;
  }
  return write_file_atomically(folder / "model.safetensors.index.json", index.dump(1) + "\n");
}

}  // namespace atelier
