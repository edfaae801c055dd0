#include "io/tensor_writer.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/checked.h"
#include "io/names.h"

namespace atelier {

Result<uint64_t> checked_tensor_bytes(const TensorSpec& tensor) {
  if (!is_clean_name(tensor.name))
    return fail(ErrorCode::kInvalidArgument, "expected a tensor name in printable UTF-8, found \"{}\"",
                shown(tensor.name));
  const std::optional<size_t> row = row_bytes(tensor.dtype, tensor.shape.cols());
  if (!row)
    return fail(ErrorCode::kInvalidArgument,
                "tensor {}: expected rows of whole {} blocks of {} elements, found {}", tensor.name,
                dtype_info(tensor.dtype).name, dtype_info(tensor.dtype).block_elems,
                tensor.shape.to_string());
  std::optional<uint64_t> bytes = *row;
  for (size_t axis = 0; axis + 1 < tensor.shape.rank && bytes; ++axis)
    bytes = checked_mul(*bytes, tensor.shape.dims[axis]);
  if (!bytes)
    return fail(ErrorCode::kInvalidArgument, "tensor {}: expected fewer than 2^64 bytes, found shape {}",
                tensor.name, tensor.shape.to_string());
  return *bytes;
}

Status check_unique_names(std::span<const TensorSpec> tensors) {
  std::set<std::string_view> names;
  for (const TensorSpec& tensor : tensors)
    if (!names.insert(tensor.name).second)
      return fail(ErrorCode::kInvalidArgument, "tensor {}: expected one of this name, found two",
                  tensor.name);
  return {};
}

Status write_tensor(DraftFile& file, const TensorSpec& tensor, const FillRows& fill,
                    std::vector<std::byte>& chunk) {
  const uint64_t rows = tensor.shape.rows();
  const size_t bytes_per_row = row_bytes(tensor.dtype, tensor.shape.cols()).value_or(0);
  if (rows == 0 || bytes_per_row == 0) return {};
  const uint64_t rows_at_once = std::max<uint64_t>(1, kWriteChunkBytes / bytes_per_row);
  for (uint64_t row = 0; row < rows; row += rows_at_once) {
    const size_t bytes = static_cast<size_t>(std::min(rows_at_once, rows - row)) * bytes_per_row;
    if (chunk.size() < bytes) chunk.resize(bytes);
    const std::span<std::byte> part = std::span(chunk).first(bytes);
    ATELIER_CHECK_OK(fill(tensor, row, part));
    ATELIER_CHECK_OK(file.write(part));
  }
  return {};
}

}  // namespace atelier
