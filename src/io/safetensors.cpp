#include "io/safetensors.h"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/checked.h"
#include "io/byte_reader.h"
#include "io/json_text.h"
#include "io/names.h"

namespace atelier {
namespace {

namespace ondemand = simdjson::ondemand;

tl::unexpected<Error> bad_json(simdjson::error_code error) {
  return fail(ErrorCode::kCorrupt, "expected a JSON header of the documented form, found: {}",
              simdjson::error_message(error));
}

// ATELIER_JSON(declaration, expression): the value, or kCorrupt with simdjson's reason.
#define ATELIER_JSON(declaration, expression) \
  ATELIER_JSON_(ATELIER_CONCAT(atelier_json_, __LINE__), declaration, expression)
#define ATELIER_JSON_(temporary, declaration, expression)                         \
  auto temporary = (expression);                                                  \
  if (temporary.error() != simdjson::SUCCESS) return bad_json(temporary.error()); \
  declaration = std::move(temporary).value_unsafe()

// A JSON object read field by field, with nothing allowed behind it. simdjson reads past the end by its
// padding and needs bytes that stand still, hence the copy of mapped text.
class ObjectText {
 public:
  explicit ObjectText(std::string_view text) : padded_(text) {}

  // on_field(key, value) → Status, for each field in order.
  template <class OnField>
  Status for_each(OnField&& on_field) {
    ondemand::parser parser;
    ATELIER_JSON(ondemand::document document, parser.iterate(padded_));
    ATELIER_JSON(ondemand::object object, document.get_object());
    for (auto each : object) {
      ATELIER_JSON(ondemand::field field, std::move(each));
      ATELIER_JSON(const std::string_view key, field.unescaped_key());
      ATELIER_CHECK_OK(on_field(key, field.value()));
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return fail(ErrorCode::kCorrupt, "expected one JSON object, found more behind it");
    return {};
  }

 private:
  simdjson::padded_string padded_;
};

struct TensorRecord {
  std::optional<DType> dtype;
  std::optional<Shape> shape;
  std::optional<uint64_t> begin, end;  // within the data section
};

Result<Shape> read_shape(ondemand::value value) {
  Shape shape;
  ATELIER_JSON(ondemand::array array, value.get_array());
  for (auto each : array) {
    ATELIER_JSON(const uint64_t dim, each.get_uint64());
    if (shape.rank == kMaxRank)
      return fail(ErrorCode::kUnsupported, "expected at most {} dimensions, found more", kMaxRank);
    shape.dims[shape.rank++] = dim;
  }
  return shape;
}

Status read_offsets(ondemand::value value, TensorRecord& record) {
  ATELIER_JSON(ondemand::array array, value.get_array());
  size_t n = 0;
  for (auto each : array) {
    ATELIER_JSON(const uint64_t offset, each.get_uint64());
    if (n == 2) return fail(ErrorCode::kCorrupt, "expected two data_offsets, found more");
    (n++ == 0 ? record.begin : record.end) = offset;
  }
  if (n != 2) return fail(ErrorCode::kCorrupt, "expected two data_offsets, found {}", n);
  return {};
}

Status read_field(std::string_view key, ondemand::value value, TensorRecord& record) {
  if (key == "dtype" && !record.dtype) {
    ATELIER_JSON(const std::string_view name, value.get_string());
    record.dtype = dtype_from_safetensors(name);
    if (!record.dtype)
      return fail(ErrorCode::kUnsupported, "expected a supported dtype, found \"{}\"", shown(name));
    return {};
  }
  if (key == "shape" && !record.shape) {
    ATELIER_TRY(record.shape, read_shape(value));
    return {};
  }
  if (key == "data_offsets" && !record.begin) return read_offsets(value, record);
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

Result<TensorView> read_tensor(ondemand::value value, std::span<const std::byte> data) {
  TensorRecord record;
  ATELIER_JSON(ondemand::object object, value.get_object());
  for (auto each : object) {
    ATELIER_JSON(ondemand::field field, std::move(each));
    ATELIER_JSON(const std::string_view key, field.unescaped_key());
    ATELIER_CHECK_OK(read_field(key, field.value(), record));
  }
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

Status check_metadata(ondemand::value value) {
  ATELIER_JSON(ondemand::object object, value.get_object());
  for (auto each : object) {
    ATELIER_JSON(ondemand::field field, std::move(each));
    ATELIER_JSON([[maybe_unused]] const std::string_view key, field.unescaped_key());
    ATELIER_JSON([[maybe_unused]] const std::string_view text, field.value().get_string());
  }
  return {};
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

// In front of simdjson: bounds what the header can make it do. A tensor's text takes at least 50 bytes and
// holds some 12 values.
constexpr JsonLimits kHeaderLimits = {kMaxSafetensorsHeaderBytes, 4, kMaxSafetensorsHeaderBytes / 4};

}  // namespace

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes, std::string_view name) {
  SafetensorsFile file;
  const auto read = [&]() -> Status {
    ATELIER_TRY(const Sections sections, split(bytes));
    ATELIER_CHECK_OK(check_json_limits(sections.header, kHeaderLimits));
    const auto opened = std::count(sections.header.begin(), sections.header.end(), '{');
    file.tensors_.reserve(std::min<size_t>(static_cast<size_t>(opened), sections.header.size() / 50));
    bool has_metadata = false;
    const auto on_field = [&](std::string_view key, ondemand::value value) -> Status {
      if (key == "__metadata__" && !std::exchange(has_metadata, true)) return check_metadata(value);
      if (!is_clean_name(key))
        return fail(ErrorCode::kCorrupt, "expected a tensor name in printable UTF-8, found \"{}\"",
                    shown(key));
      const std::string_view kept = file.names_.keep(key);
      Result<TensorView> tensor = read_tensor(value, sections.data);
      if (!tensor) return fail_in(fmt::format("tensor {}", shown(kept)), std::move(tensor).error());
      tensor->name = kept;
      file.tensors_.push_back(*tensor);
      return {};
    };
    ATELIER_CHECK_OK(ObjectText(sections.header).for_each(on_field));
    ATELIER_CHECK_OK(check_coverage(file.tensors_, sections.data));
    return sort_by_name(file.tensors_);
  };
  Status done = read();
  if (!done) return fail_in(name, std::move(done).error());
  return file;
}

Result<SafetensorsIndex> SafetensorsIndex::parse(std::string_view text, std::string_view name) {
  SafetensorsIndex index;
  std::map<std::string, uint32_t, std::less<>> numbers;
  const auto add = [&](std::string_view tensor, std::string_view shard) -> Status {
    if (!is_clean_name(shard) || shard.find('/') != shard.npos || !shard.ends_with(".safetensors"))
      return fail(ErrorCode::kCorrupt, "tensor {}: expected the name of a .safetensors file, found \"{}\"",
                  shown(tensor), shown(shard));
    auto known = numbers.find(shard);
    if (known == numbers.end()) {
      if (numbers.size() == kMaxShards)
        return fail(ErrorCode::kLimit, "expected at most {} files, found more", kMaxShards);
      known = numbers.emplace(shard, static_cast<uint32_t>(numbers.size())).first;
      index.shards_.emplace_back(shard);
    }
    index.entries_.push_back({index.names_.keep(tensor), known->second});
    return {};
  };
  bool has_map = false;
  const auto on_field = [&](std::string_view key, ondemand::value value) -> Status {
    if (key != "weight_map" || std::exchange(has_map, true)) return {};
    ATELIER_JSON(ondemand::object map, value.get_object());
    for (auto each : map) {
      ATELIER_JSON(ondemand::field field, std::move(each));
      ATELIER_JSON(const std::string_view tensor, field.unescaped_key());
      ATELIER_JSON(const std::string_view shard, field.value().get_string());
      ATELIER_CHECK_OK(add(tensor, shard));
    }
    return {};
  };
  const auto read = [&]() -> Status {
    ATELIER_CHECK_OK(check_json_limits(text, {kMaxBytes, 8, kMaxBytes / 8}));
    ATELIER_CHECK_OK(ObjectText(text).for_each(on_field));
    if (index.entries_.empty())
      return fail(ErrorCode::kCorrupt, "expected a weight_map that names tensors, found none");
    return {};
  };
  Status done = read();
  if (!done) return fail_in(name, std::move(done).error());
  return index;
}

}  // namespace atelier
