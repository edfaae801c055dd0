#include <algorithm>
#include <numeric>
#include <optional>

#include "base/checked.h"
#include "io/byte_reader.h"
#include "io/gguf.h"
#include "io/names.h"

namespace atelier {
namespace {

// The least a key-value pair and a tensor record can take: what a count is held against before memory is
// taken for it. 8-byte name length, 1 byte of name, then type and 1-byte value; or rank, one dimension, type,
// offset.
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint64_t kDefaultAlignment = 32;

// Bytes of a scalar; nothing for strings and arrays.
std::optional<uint64_t> scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return std::nullopt;
}

// Names of `ggml_type` numbers that exist and that we do not run, for the message only.
std::string_view known_but_unsupported(uint32_t ggml_type) {
  switch (ggml_type) {
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 29:
      return "IQ1_M";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 40:
      return "NVFP4";
    default:
      return "unknown";
  }
}

// Where a tensor lies within the data section.
struct Extent {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct TensorRecord {
  TensorView view;  // without its bytes
  Extent extent;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, NameArena& names) : bytes_(bytes), in_(bytes), names_(&names) {}

  struct Header {
    uint32_t version;
    uint64_t n_tensors;
    uint64_t n_pairs;
  };

  Result<Header> header() {
    const auto magic = in_.take(4);
    if (!magic || as_chars(*magic) != "GGUF")
      return fail(ErrorCode::kCorrupt, "expected a file that starts with \"GGUF\", found \"{}\"",
                  shown(as_chars(bytes_.first(std::min<size_t>(4, bytes_.size())))));
    ATELIER_TRY(const auto version, number<uint32_t>("the version"));
    if (version != 0 && (version & 0xffff) == 0)
      return fail(ErrorCode::kUnsupported, "expected a little-endian GGUF file, found a big-endian one");
    if (version != 2 && version != 3)
      return fail(ErrorCode::kUnsupported, "expected GGUF version 2 or 3, found {}", version);
    ATELIER_TRY(const auto n_tensors, number<uint64_t>("the tensor count"));
    ATELIER_TRY(const auto n_pairs, number<uint64_t>("the key count"));
    ATELIER_CHECK_OK(check_count("keys", n_pairs, kMinPairBytes, kMaxGgufKeys));
    ATELIER_CHECK_OK(check_count("tensors", n_tensors, kMinTensorBytes, kMaxGgufTensors));
    return Header{version, n_tensors, n_pairs};
  }

  Result<GgufEntry> pair() {
    ATELIER_TRY(const auto key, name("key", kMaxGgufKeyBytes));
    Result<GgufValue> read = value();
    if (!read) return fail_in(fmt::format("key {}", shown(key)), std::move(read).error());
    return GgufEntry{key, *read};
  }

  Result<TensorRecord> tensor() {
    TensorRecord record;
    ATELIER_TRY(record.view.name, name("tensor name", kMaxGgufTensorNameBytes));
    Status rest = tensor_rest(record);
    if (!rest) return fail_in(fmt::format("tensor {}", shown(record.view.name)), std::move(rest).error());
    return record;
  }

  size_t offset() const { return in_.offset(); }

 private:
  template <class T>
  Result<T> number(std::string_view what) {
    const std::optional<T> value = in_.read<T>();
    if (!value) return truncated(what, sizeof(T));
    return *value;
  }

  tl::unexpected<Error> truncated(std::string_view what, uint64_t need) const {
    return fail(ErrorCode::kCorrupt, "byte {}: expected {} bytes of {}, found the end of the file after {}",
                in_.offset(), need, what, in_.remaining());
  }

  Status check_count(std::string_view what, uint64_t count, uint64_t min_bytes, uint64_t limit) const {
    if (count > in_.remaining() / min_bytes)
      return fail(ErrorCode::kCorrupt, "expected {} {} to fit the file, found {} bytes left", count, what,
                  in_.remaining());
    if (count > limit) return fail(ErrorCode::kLimit, "expected at most {} {}, found {}", limit, what, count);
    return {};
  }

  Result<std::string_view> name(std::string_view what, uint64_t max_bytes) {
    ATELIER_TRY(const auto length, number<uint64_t>(what));
    if (length > max_bytes)
      return fail(ErrorCode::kLimit, "byte {}: expected a {} of at most {} bytes, found {}", in_.offset(),
                  what, max_bytes, length);
    const auto chars = in_.take(length);
    if (!chars) return truncated(what, length);
    const std::string_view kept = names_->keep(as_chars(*chars));
    if (!is_clean_name(kept))
      return fail(ErrorCode::kCorrupt, "byte {}: expected a {} in printable UTF-8, found \"{}\"",
                  in_.offset() - kept.size(), what, shown(kept));
    return kept;
  }

  Result<GgufType> type(std::string_view what) {
    ATELIER_TRY(const auto code, number<uint32_t>(what));
    if (code > static_cast<uint32_t>(GgufType::kFloat64))
      return fail(ErrorCode::kCorrupt, "expected {} from 0 to 12, found {}", what, code);
    return static_cast<GgufType>(code);
  }

  Result<GgufValue> value() {
    GgufValue value;
    ATELIER_TRY(value.type, type("a value type"));
    value.elem_type = value.type;
    if (value.type == GgufType::kArray) return array();
    uint64_t length = 0;
    if (value.type == GgufType::kString) {
      ATELIER_TRY(length, number<uint64_t>("a string length"));
    } else {
      length = *scalar_bytes(value.type);
    }
    const auto raw = in_.take(length);
    if (!raw) return truncated("a value", length);
    value.bytes = *raw;
    return value;
  }

  Result<GgufValue> array() {
    GgufValue value;
    value.type = GgufType::kArray;
    ATELIER_TRY(value.elem_type, type("an element type"));
    ATELIER_TRY(value.count, number<uint64_t>("an array length"));
    if (value.elem_type == GgufType::kArray)
      return fail(ErrorCode::kUnsupported, "expected an array of scalars or strings, found nested arrays");
    const std::optional<uint64_t> size = scalar_bytes(value.elem_type);
    const uint64_t min_bytes = size.value_or(sizeof(uint64_t));
    if (value.count > in_.remaining() / min_bytes)
      return fail(ErrorCode::kCorrupt, "expected {} array elements to fit the file, found {} bytes left",
                  value.count, in_.remaining());
    if (size) {
      value.bytes = *in_.take(value.count * *size);  // fits: just checked
      return value;
    }
    const size_t begin = in_.offset();
    for (uint64_t i = 0; i < value.count; ++i) {
      const auto length = in_.read<uint64_t>();
      if (!length || !in_.take(*length))
        return fail(ErrorCode::kCorrupt, "byte {}: expected string {} of {}, found the end of the file",
                    in_.offset(), i, value.count);
    }
    value.bytes = bytes_.subspan(begin, in_.offset() - begin);
    return value;
  }

  Status tensor_rest(TensorRecord& record) {
    ATELIER_TRY(const auto rank, number<uint32_t>("a rank"));
    if (rank > kMaxRank)
      return fail(ErrorCode::kUnsupported, "expected at most {} dimensions, found {}", kMaxRank, rank);
    record.view.shape.rank = rank;
    uint64_t elems = 1;
    for (size_t axis = rank; axis-- > 0;) {  // the file's first dimension is the innermost
      ATELIER_TRY(const auto dim, number<uint64_t>("a dimension"));
      const auto product = checked_mul(elems, dim);
      if (dim == 0 || !product)
        return fail(ErrorCode::kCorrupt,
                    "expected dimensions whose product is 1 to 2^64 - 1, found {} at axis {}", dim, axis);
      record.view.shape.dims[axis] = dim;
      elems = *product;
    }
    ATELIER_TRY(const auto ggml_type, number<uint32_t>("a tensor type"));
    const std::optional<DType> dtype = dtype_from_gguf(ggml_type);
    if (!dtype)
      return fail(ErrorCode::kUnsupported, "expected a supported format, found {} (ggml type {})",
                  known_but_unsupported(ggml_type), ggml_type);
    record.view.dtype = *dtype;
    const uint64_t cols = record.view.shape.cols();
    const std::optional<size_t> row = row_bytes(*dtype, cols);
    const std::optional<uint64_t> total = row ? checked_mul<uint64_t>(*row, elems / cols) : std::nullopt;
    if (!total)
      return fail(ErrorCode::kCorrupt, "expected rows of whole {} blocks of {} elements, found shape {}",
                  dtype_info(*dtype).name, dtype_info(*dtype).block_elems, record.view.shape.to_string());
    record.extent.bytes = *total;
    ATELIER_TRY(record.extent.offset, number<uint64_t>("a tensor offset"));
    return {};
  }

  std::span<const std::byte> bytes_;
  ByteReader in_;
  NameArena* names_;
};

Result<uint64_t> read_alignment(const GgufMetadata& metadata) {
  ATELIER_TRY(const uint64_t alignment, metadata.uint_or("general.alignment", kDefaultAlignment));
  if (!std::has_single_bit(alignment) || alignment > kMaxGgufAlignment)
    return fail(ErrorCode::kCorrupt, "key general.alignment: expected a power of two up to {}, found {}",
                kMaxGgufAlignment, alignment);
  return alignment;
}

// `order` sorted by `key` of the tensor; then `bad` must hold for no neighbours.
template <class Less, class Bad>
const TensorView* find_neighbours(std::span<const TensorView> tensors, Less less, Bad bad) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return less(tensors[a], tensors[b]); });
  for (size_t i = 1; i < order.size(); ++i)
    if (bad(tensors[order[i - 1]], tensors[order[i]])) return &tensors[order[i]];
  return nullptr;
}

Status check_tensors(std::span<const TensorView> tensors) {
  const TensorView* twin = find_neighbours(
      tensors, [](const auto& a, const auto& b) { return a.name < b.name; },
      [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twin != nullptr)
    return fail(ErrorCode::kCorrupt, "tensor {}: expected one of this name, found two", shown(twin->name));
  const TensorView* overlap = find_neighbours(
      tensors, [](const auto& a, const auto& b) { return a.bytes.data() < b.bytes.data(); },
      [](const auto& a, const auto& b) { return a.bytes.data() + a.bytes.size() > b.bytes.data(); });
  if (overlap != nullptr)
    return fail(ErrorCode::kCorrupt, "tensor {}: expected bytes of its own, found them inside another tensor",
                shown(overlap->name));
  return {};
}

// Gives `tensor` its bytes; the data section begins at byte `data_start`.
Status place(TensorView& tensor, const Extent& extent, std::span<const std::byte> bytes, uint64_t data_start,
             uint64_t alignment) {
  if (extent.offset % alignment != 0)
    return fail(ErrorCode::kCorrupt, "tensor {}: expected an offset that is a multiple of {}, found {}",
                shown(tensor.name), alignment, extent.offset);
  const auto begin = checked_add(data_start, extent.offset);
  const auto end = begin ? checked_add(*begin, extent.bytes) : std::nullopt;
  if (!end || *end > bytes.size())
    return fail(ErrorCode::kCorrupt,
                "tensor {}: expected {} bytes at data offset {}, found the file to end at byte {}",
                shown(tensor.name), extent.bytes, extent.offset, bytes.size());
  tensor.bytes = bytes.subspan(static_cast<size_t>(*begin), static_cast<size_t>(extent.bytes));
  return {};
}

}  // namespace

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string_view name) {
  Result<GgufFile> file = parse_unnamed(bytes);
  if (!file) return fail_in(name, std::move(file).error());
  return file;
}

Result<GgufFile> GgufFile::parse_unnamed(std::span<const std::byte> bytes) {
  GgufFile file;
  Parser in(bytes, file.names_);
  ATELIER_TRY(const Parser::Header header, in.header());
  file.version_ = header.version;

  std::vector<GgufEntry>& entries = file.metadata_.entries_;
  entries.reserve(static_cast<size_t>(header.n_pairs));
  for (uint64_t i = 0; i < header.n_pairs; ++i) {
    ATELIER_TRY(const GgufEntry entry, in.pair());
    entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(),
            [](const GgufEntry& a, const GgufEntry& b) { return a.key < b.key; });
  const auto twin = std::adjacent_find(entries.begin(), entries.end(),
                                       [](const GgufEntry& a, const GgufEntry& b) { return a.key == b.key; });
  if (twin != entries.end())
    return fail(ErrorCode::kCorrupt, "key {}: expected once, found twice", shown(twin->key));
  ATELIER_TRY(file.alignment_, read_alignment(file.metadata_));

  // Offsets count from the end of the last record, so tensors are placed once all records are read. Until
  // then a record's view holds no bytes.
  std::vector<Extent> extents;
  extents.reserve(static_cast<size_t>(header.n_tensors));
  file.tensors_.reserve(static_cast<size_t>(header.n_tensors));
  for (uint64_t i = 0; i < header.n_tensors; ++i) {
    ATELIER_TRY(const TensorRecord record, in.tensor());
    file.tensors_.push_back(record.view);
    extents.push_back(record.extent);
  }
  const uint64_t data_start = round_up<uint64_t>(in.offset(), file.alignment_);
  for (size_t i = 0; i < extents.size(); ++i)
    ATELIER_CHECK_OK(place(file.tensors_[i], extents[i], bytes, data_start, file.alignment_));
  ATELIER_CHECK_OK(check_tensors(file.tensors_));
  return file;
}

}  // namespace atelier
