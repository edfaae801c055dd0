#include "io/safetensors.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/checked.h"
#include "io/byte_reader.h"
#include "io/json_reader.h"
#include "io/names.h"

namespace atelier {
namespace {

// The shortest text of a tensor: what memory is reserved by.
constexpr size_t kMinTensorText =
    std::string_view(R"("":{"dtype":"U8","shape":[],"data_offsets":[0,0]},)").size();

struct TensorRecord {
  std::optional<DType> dtype;
  std::optional<Shape> shape;
  std::optional<uint64_t> begin, end;  // within the data section
};

Status read_shape(JsonReader& in, TensorRecord& record) {
  Shape shape;
  in.begin_array();
  while (in.next_element()) {
    const uint64_t dim = in.unsigned_integer();
    if (shape.rank == kMaxRank)
      return fail(ErrorCode::kUnsupported, "expected at most {} dimensions, found more", kMaxRank);
    shape.dims[shape.rank++] = dim;
  }
  record.shape = shape;
  return in.status();
}

Status read_offsets(JsonReader& in, TensorRecord& record) {
  size_t n = 0;
  in.begin_array();
  while (in.next_element()) {
    const uint64_t offset = in.unsigned_integer();
    if (n == 2) return fail(ErrorCode::kCorrupt, "expected two data_offsets, found more");
    (n++ == 0 ? record.begin : record.end) = offset;
  }
  ATELIER_CHECK_OK(in.status());
  if (n != 2) return fail(ErrorCode::kCorrupt, "expected two data_offsets, found {}", n);
  return {};
}

Status read_dtype(JsonReader& in, TensorRecord& record) {
  const std::string_view name = in.string();
  ATELIER_CHECK_OK(in.status());
  record.dtype = dtype_from_safetensors(name);
  if (record.dtype) return {};
  return fail(ErrorCode::kUnsupported, "expected a supported dtype, found \"{}\"", shown(name));
}

Status read_field(JsonReader& in, std::string_view key, TensorRecord& record) {
  if (key == "dtype" && !record.dtype) return read_dtype(in, record);
  if (key == "shape" && !record.shape) return read_shape(in, record);
  if (key == "data_offsets" && !record.begin) return read_offsets(in, record);
  return fail(ErrorCode::kCorrupt, "expected dtype, shape and data_offsets once each, found \"{}\"",
              shown(key));
}

// Bytes the shape takes; nothing where that wraps.
std::optional<uint64_t> tensor_bytes(DType dtype, const Shape& shape) {
  std::optional<uint64_t> bytes = dtype_info(dtype).block_bytes;
  // A zero anywhere makes the product zero, whatever the others would have wrapped to.
  if (std::find(shape.dims.begin(), shape.dims.begin() + shape.rank, 0u) != shape.dims.begin() + shape.rank)
    return 0;
  for (size_t axis = 0; axis < shape.rank && bytes; ++axis) bytes = checked_mul(*bytes, shape.dims[axis]);
  return bytes;
}

Result<TensorView> read_tensor(JsonReader& in, std::span<const std::byte> data) {
  TensorRecord record;
  in.begin_object();
  for (std::string_view key; in.next_key(key);) ATELIER_CHECK_OK(read_field(in, key, record));
  ATELIER_CHECK_OK(in.status());
  if (!record.dtype || !record.shape || !record.begin)
    return fail(ErrorCode::kCorrupt, "expected dtype, shape and data_offsets, found less");
  if (*record.begin > *record.end || *record.end > data.size())
    return fail(ErrorCode::kCorrupt, "expected data_offsets within {} bytes of data, found {} to {}",
                data.size(), *record.begin, *record.end);
  const uint64_t length = *record.end - *record.begin;
  const std::optional<uint64_t> need = tensor_bytes(*record.dtype, *record.shape);
  if (need != length)
    return fail(ErrorCode::kCorrupt, "expected data_offsets that span the {} bytes of {} {}, found {}",
                need ? std::to_string(*need) : "2^64 or more", dtype_info(*record.dtype).name,
                record.shape->to_string(), length);
  return TensorView{{},
                    *record.dtype,
                    *record.shape,
                    data.subspan(static_cast<size_t>(*record.begin), static_cast<size_t>(length))};
}

// Each tensor begins where the one before it ends, the first at 0, the last ends with the file.
Status check_coverage(std::vector<TensorView>& tensors, std::span<const std::byte> data) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  const std::byte* expected = data.data();
  for (const TensorView& tensor : tensors) {
    if (tensor.bytes.data() != expected)
      return fail(ErrorCode::kCorrupt, "tensor {}: expected data at offset {}, found {}: a gap or an overlap",
                  shown(tensor.name), expected - data.data(), tensor.bytes.data() - data.data());
    expected += tensor.bytes.size();
  }
  if (expected != data.data() + data.size())
    return fail(ErrorCode::kCorrupt, "expected {} bytes of tensor data, found {}", expected - data.data(),
                data.size());
  return {};
}

// `__metadata__`: strings by name, of no use to us.
void check_metadata(JsonReader& in) {
  in.begin_object();
  for (std::string_view key; in.next_key(key);) in.string();
}

struct Sections {
  std::string_view header;
  std::span<const std::byte> data;
};

Result<Sections> split(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const auto length = in.read<uint64_t>();
  if (!length)
    return fail(ErrorCode::kCorrupt, "expected an 8-byte header length, found a file of {} bytes",
                bytes.size());
  if (*length > in.remaining())
    return fail(ErrorCode::kCorrupt, "expected a header of {} bytes, found {} bytes left", *length,
                in.remaining());
  if (*length > kMaxSafetensorsHeaderBytes)
    return fail(ErrorCode::kLimit, "expected a header of at most {} bytes, found {}",
                kMaxSafetensorsHeaderBytes, *length);
  const auto header = *in.take(*length);
  return Sections{as_chars(header), bytes.subspan(in.offset())};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes, std::string_view name) {
  Result<SafetensorsFile> file = parse_unnamed(bytes);
  if (!file) return fail_in(name, std::move(file).error());
  return file;
}

Result<SafetensorsFile> SafetensorsFile::parse_unnamed(std::span<const std::byte> bytes) {
  SafetensorsFile file;
  ATELIER_TRY(const Sections sections, split(bytes));
  ATELIER_CHECK_OK(JsonReader::validate(sections.header));
  const auto opened = std::count(sections.header.begin(), sections.header.end(), '{');
  file.tensors_.reserve(std::min(static_cast<size_t>(opened), sections.header.size() / kMinTensorText));
  bool has_metadata = false;
  JsonReader in(sections.header);
  in.begin_object();
  for (std::string_view key; in.next_key(key);) {
    if (key == "__metadata__" && !std::exchange(has_metadata, true)) {
      check_metadata(in);
      continue;
    }
    const std::string_view kept = file.names_.keep(key);
    if (!is_clean_name(kept))
      return fail(ErrorCode::kCorrupt, "expected a tensor name in printable UTF-8, found \"{}\"",
                  shown(kept));
    Result<TensorView> tensor = read_tensor(in, sections.data);
    if (!tensor) return fail_in(fmt::format("tensor {}", shown(kept)), std::move(tensor).error());
    tensor->name = kept;
    file.tensors_.push_back(*tensor);
  }
  in.finish();
  ATELIER_CHECK_OK(in.status());
  ATELIER_CHECK_OK(check_coverage(file.tensors_, sections.data));
  ATELIER_CHECK_OK(sort_by_name(file.tensors_));
  return file;
}

Result<SafetensorsIndex> SafetensorsIndex::parse(std::string_view text, std::string_view name) {
  Result<SafetensorsIndex> index = parse_unnamed(text);
  if (!index) return fail_in(name, std::move(index).error());
  return index;
}

// "weight_map": in which file each tensor is.
Status SafetensorsIndex::read_map(JsonReader& in) {
  std::map<std::string, uint32_t, std::less<>> numbers;
  in.begin_object();
  for (std::string_view key; in.next_key(key);) {
    const std::string_view tensor = names_.keep(key);
    const std::string_view shard = in.string();
    ATELIER_CHECK_OK(in.status());
    if (!is_clean_name(shard) || shard.find('/') != shard.npos || !shard.ends_with(".safetensors"))
      return fail(ErrorCode::kCorrupt, "tensor {}: expected the name of a .safetensors file, found \"{}\"",
                  shown(tensor), shown(shard));
    auto known = numbers.find(shard);
    if (known == numbers.end()) {
      if (numbers.size() == kMaxShards)
        return fail(ErrorCode::kLimit, "expected at most {} files, found more", kMaxShards);
      known = numbers.emplace(shard, static_cast<uint32_t>(numbers.size())).first;
      shards_.emplace_back(shard);
    }
    entries_.push_back({tensor, known->second});
  }
  return in.status();
}

Result<SafetensorsIndex> SafetensorsIndex::parse_unnamed(std::string_view text) {
  SafetensorsIndex index;
  if (text.size() > kMaxBytes)
    return fail(ErrorCode::kLimit, "expected at most {} bytes, found {}", kMaxBytes, text.size());
  ATELIER_CHECK_OK(JsonReader::validate(text));
  JsonReader in(text);
  bool has_map = false;
  in.begin_object();
  for (std::string_view key; in.next_key(key);) {
    if (key == "weight_map" && !std::exchange(has_map, true))
      ATELIER_CHECK_OK(index.read_map(in));
    else
      in.skip();
  }
  in.finish();
  ATELIER_CHECK_OK(in.status());
  if (index.entries_.empty())
    return fail(ErrorCode::kCorrupt, "expected a weight_map that names tensors, found none");
  return index;
}

}  // namespace atelier
