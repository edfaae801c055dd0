#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "io/byte_reader.h"
#include "io/gguf.h"
#include "io/utf8.h"

namespace atelier {
namespace {

constexpr uint64_t kMaxJsonArray = 4'096;
constexpr uint64_t kMaxJsonElements = 65'536;  // in all arrays together: 16 bytes of JSON each, at least

bool is_integer(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kUint16:
    case GgufType::kInt16:
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kUint64:
    case GgufType::kInt64:
      return true;
    default:
      return false;
  }
}

bool is_float(GgufType type) { return type == GgufType::kFloat32 || type == GgufType::kFloat64; }

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// Calls `use` with element `i` of `bytes` as the C++ type that holds it. `type` is neither string nor array.
template <class Use>
auto with_element(GgufType type, std::span<const std::byte> bytes, size_t i, Use&& use) {
  const std::byte* base = bytes.data();
  switch (type) {
    case GgufType::kUint8:
      return use(load<uint8_t>(base + i));
    case GgufType::kInt8:
      return use(load<int8_t>(base + i));
    case GgufType::kUint16:
      return use(load<uint16_t>(base + 2 * i));
    case GgufType::kInt16:
      return use(load<int16_t>(base + 2 * i));
    case GgufType::kUint32:
      return use(load<uint32_t>(base + 4 * i));
    case GgufType::kInt32:
      return use(load<int32_t>(base + 4 * i));
    case GgufType::kUint64:
      return use(load<uint64_t>(base + 8 * i));
    case GgufType::kInt64:
      return use(load<int64_t>(base + 8 * i));
    case GgufType::kFloat32:
      return use(load<float>(base + 4 * i));
    case GgufType::kFloat64:
      return use(load<double>(base + 8 * i));
    case GgufType::kBool:
      return use(load<uint8_t>(base + i) != 0);
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  const bool numeric = false;
  ATELIER_CHECK(numeric);
  return use(uint8_t{0});
}

std::string kind_name(const GgufValue& value) {
  if (value.type != GgufType::kArray) return std::string(gguf_type_name(value.type));
  return fmt::format("array of {}", gguf_type_name(value.elem_type));
}

template <class T>
Result<T> or_fallback(const GgufMetadata& metadata, std::string_view key, Result<T> result, T fallback) {
  return metadata.contains(key) ? result : Result<T>(fallback);
}

tl::unexpected<Error> wrong_kind(std::string_view key, std::string_view expected, const GgufValue& value) {
  return fail(ErrorCode::kCorrupt, "key {}: expected {}, found {}", key, expected, kind_name(value));
}

Result<const GgufValue*> require(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return fail(ErrorCode::kNotFound, "key {}: expected in the metadata, not found", key);
  return value;
}

nlohmann::json scalar_json(const GgufValue& value) {
  if (value.type == GgufType::kString) return to_valid_utf8(as_chars(value.bytes));
  return with_element(value.type, value.bytes, 0, [](auto element) { return nlohmann::json(element); });
}

nlohmann::json array_json(const GgufValue& value) {
  nlohmann::json::array_t array;
  array.reserve(static_cast<size_t>(value.count));
  if (value.elem_type == GgufType::kString) {
    for (const std::string_view text : GgufStrings(value)) array.push_back(to_valid_utf8(text));
  } else {
    for (size_t i = 0; i < value.count; ++i)
      with_element(value.elem_type, value.bytes, i, [&](auto element) { array.emplace_back(element); });
  }
  return array;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
      return "u8";
    case GgufType::kInt8:
      return "i8";
    case GgufType::kUint16:
      return "u16";
    case GgufType::kInt16:
      return "i16";
    case GgufType::kUint32:
      return "u32";
    case GgufType::kInt32:
      return "i32";
    case GgufType::kFloat32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kUint64:
      return "u64";
    case GgufType::kInt64:
      return "i64";
    case GgufType::kFloat64:
      return "f64";
  }
  return "unknown";
}

template <class T>
T GgufNumbers<T>::operator[](size_t i) const {
  ATELIER_CHECK(i < size());
  return with_element(array_.elem_type, array_.bytes, i, [](auto element) -> T {
    if constexpr (std::is_same_v<decltype(element), uint64_t> && std::is_same_v<T, int64_t>)
      return static_cast<int64_t>(
          std::min(element, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
    else
      return static_cast<T>(element);
  });
}
template class GgufNumbers<int64_t>;
template class GgufNumbers<double>;

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), key,
                                   [](const GgufEntry& e, std::string_view k) { return e.key < k; });
  return at != entries_.end() && at->key == key ? &at->value : nullptr;
}

Result<std::string_view> GgufMetadata::string(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (value->type != GgufType::kString) return wrong_kind(key, "string", *value);
  return as_chars(value->bytes);
}

Result<uint64_t> GgufMetadata::uint(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (!is_integer(value->type)) return wrong_kind(key, "integer", *value);
  return with_element(value->type, value->bytes, 0, [&](auto element) -> Result<uint64_t> {
    if (element < decltype(element){0})
      return fail(ErrorCode::kCorrupt, "key {}: expected a number of at least 0, found {}", key, element);
    return static_cast<uint64_t>(element);
  });
}

Result<int64_t> GgufMetadata::integer(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (!is_integer(value->type)) return wrong_kind(key, "integer", *value);
  if (value->type == GgufType::kUint64) {
    const auto element = load<uint64_t>(value->bytes.data());
    if (element > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return fail(ErrorCode::kCorrupt, "key {}: expected a number below 2^63, found {}", key, element);
  }
  return with_element(value->type, value->bytes, 0,
                      [](auto element) { return Result<int64_t>(static_cast<int64_t>(element)); });
}

Result<double> GgufMetadata::number(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (!is_integer(value->type) && !is_float(value->type)) return wrong_kind(key, "number", *value);
  return with_element(value->type, value->bytes, 0,
                      [](auto element) { return Result<double>(static_cast<double>(element)); });
}

Result<bool> GgufMetadata::boolean(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (value->type != GgufType::kBool) return wrong_kind(key, "bool", *value);
  return value->bytes[0] != std::byte{0};
}

Result<GgufStrings> GgufMetadata::strings(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (value->type != GgufType::kArray || value->elem_type != GgufType::kString)
    return wrong_kind(key, "array of string", *value);
  return GgufStrings(*value);
}

Result<GgufIntegers> GgufMetadata::integers(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (value->type != GgufType::kArray ||
      !(is_integer(value->elem_type) || value->elem_type == GgufType::kBool))
    return wrong_kind(key, "array of integers", *value);
  return GgufIntegers(*value);
}

Result<GgufFloats> GgufMetadata::floats(std::string_view key) const {
  ATELIER_TRY(const GgufValue* value, require(*this, key));
  if (value->type != GgufType::kArray || !(is_integer(value->elem_type) || is_float(value->elem_type)))
    return wrong_kind(key, "array of numbers", *value);
  return GgufFloats(*value);
}

Result<std::string_view> GgufMetadata::string_or(std::string_view key, std::string_view fallback) const {
  return or_fallback(*this, key, string(key), fallback);
}
Result<uint64_t> GgufMetadata::uint_or(std::string_view key, uint64_t fallback) const {
  return or_fallback(*this, key, uint(key), fallback);
}
Result<int64_t> GgufMetadata::integer_or(std::string_view key, int64_t fallback) const {
  return or_fallback(*this, key, integer(key), fallback);
}
Result<double> GgufMetadata::number_or(std::string_view key, double fallback) const {
  return or_fallback(*this, key, number(key), fallback);
}
Result<bool> GgufMetadata::boolean_or(std::string_view key, bool fallback) const {
  return or_fallback(*this, key, boolean(key), fallback);
}

nlohmann::json GgufMetadata::to_json() const {
  nlohmann::json json = nlohmann::json::object();
  uint64_t elements = 0;
  for (const GgufEntry& entry : entries_) {
    const GgufValue& value = entry.value;
    if (value.type != GgufType::kArray) {
      json.emplace(std::string(entry.key), scalar_json(value));
      continue;
    }
    if (entry.key.starts_with("tokenizer.") || value.count > kMaxJsonArray ||
        elements + value.count > kMaxJsonElements)
      continue;
    elements += value.count;
    json.emplace(std::string(entry.key), array_json(value));
  }
  return json;
}

}  // namespace atelier
