#include "io/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/check.h"
#include "base/checked.h"
#include "io/names.h"

namespace atelier {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kDefaultAlignment = 32;

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_text(std::string& out, std::string_view text) {
  append_number<uint64_t>(out, text.size());
  out.append(text);
}

Status write_padding(DraftFile& file, uint64_t& at, uint64_t alignment) {
  const uint64_t padded = round_up(at, alignment);
  const std::string zeros(static_cast<size_t>(padded - at), '\0');
  at = padded;
  return file.write(std::string_view(zeros));
}

}  // namespace

GgufWriter::GgufWriter(Options options) : alignment_(options.alignment) {
  ATELIER_CHECK(std::has_single_bit(alignment_) && alignment_ <= kMaxGgufAlignment);
  if (alignment_ != kDefaultAlignment) set("general.alignment", static_cast<uint32_t>(alignment_));
}

void GgufWriter::append(const void* data, size_t bytes) {
  pairs_.append(static_cast<const char*>(data), bytes);
}

void GgufWriter::append_string(std::string_view text) { append_text(pairs_, text); }

void GgufWriter::begin_value(std::string_view key, GgufType type) {
  keys_.emplace_back(key);
  append_string(key);
  append_number(pairs_, static_cast<uint32_t>(type));
}

void GgufWriter::begin_array(std::string_view key, GgufType elem_type, uint64_t count) {
  begin_value(key, GgufType::kArray);
  append_number(pairs_, static_cast<uint32_t>(elem_type));
  append_number(pairs_, count);
}

void GgufWriter::set(std::string_view key, std::string_view value) {
  begin_value(key, GgufType::kString);
  append_string(value);
}

void GgufWriter::set_array(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) append_string(value);
}

Result<std::string> GgufWriter::encode_header(std::span<const uint64_t> offsets) const {
  std::set<std::string_view> seen;
  for (const std::string& key : keys_)
    if (!is_clean_name(key) || !seen.insert(key).second)
      return fail(ErrorCode::kInvalidArgument, "key \"{}\": expected printable UTF-8, set once", shown(key));
  std::string header = "GGUF";
  append_number(header, kVersion);
  append_number<uint64_t>(header, tensors_.size());
  append_number<uint64_t>(header, keys_.size());
  header += pairs_;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const TensorSpec& tensor = tensors_[i];
    const std::optional<uint32_t> type = dtype_to_gguf(tensor.dtype);
    if (!type)
      return fail(ErrorCode::kInvalidArgument, "tensor {}: expected a format GGUF has, found {}", tensor.name,
                  dtype_info(tensor.dtype).name);
    append_text(header, tensor.name);
    append_number(header, static_cast<uint32_t>(tensor.shape.rank));
    for (size_t axis = tensor.shape.rank; axis-- > 0;) append_number(header, tensor.shape.dims[axis]);
    append_number(header, *type);
    append_number(header, offsets[i]);
  }
  return header;
}

Status GgufWriter::write(const std::filesystem::path& path, const FillRows& fill) const {
  ATELIER_CHECK_OK(check_unique_names(tensors_));
  std::vector<uint64_t> offsets, sizes;
  uint64_t end = 0;
  for (const TensorSpec& tensor : tensors_) {
    ATELIER_TRY(const uint64_t bytes, checked_tensor_bytes(tensor));
    if (bytes == 0)
      return fail(ErrorCode::kInvalidArgument, "tensor {}: expected at least one element, found shape {}",
                  tensor.name, tensor.shape.to_string());
    offsets.push_back(end);
    sizes.push_back(bytes);
    const auto next = checked_add(end, bytes);
    const auto aligned = next ? checked_round_up(*next, alignment_) : std::nullopt;
    if (!aligned)
      return fail(ErrorCode::kInvalidArgument, "expected fewer than 2^64 bytes of tensors, found more");
    end = *aligned;
  }
  ATELIER_TRY(const std::string header, encode_header(offsets));
  ATELIER_TRY(DraftFile file, DraftFile::create(path, round_up<uint64_t>(header.size(), alignment_) + end));
  ATELIER_CHECK_OK(file.write(std::string_view(header)));
  uint64_t at = header.size();
  std::vector<std::byte> chunk;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    ATELIER_CHECK_OK(write_padding(file, at, alignment_));
    ATELIER_CHECK_OK(write_tensor(file, tensors_[i], fill, chunk));
    at += sizes[i];
  }
  ATELIER_CHECK_OK(write_padding(file, at, alignment_));  // other readers expect the last one padded as well
  return file.commit();
}

}  // namespace atelier
