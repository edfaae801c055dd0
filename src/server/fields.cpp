#include "server/fields.h"

#include <cmath>

namespace atelier::server {
namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: integers up to here are exact in a double

std::optional<int64_t> as_integer(const Json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::abs(number) <= kExact) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

std::string shown(const Json* value) {
  if (value == nullptr) return "nothing";
  if (value->is_number() || value->is_boolean() || value->is_null()) return chat::compact_json(*value);
  if (value->is_structured() && value->empty()) return fmt::format("an empty {}", value->type_name());
  if (!value->is_string()) return value->type_name();
  constexpr size_t kMaxShown = 60;
  const std::string& text = value->get_ref<const std::string&>();
  return chat::compact_json(text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "…");
}

tl::unexpected<Error> Fields::wrong(std::string_view key, std::string_view expected,
                                    const Json* found) const {
  return fail(ErrorCode::kInvalidArgument, "{}: expected {}, found {}", at(key), expected, shown(found));
}

const Json* Fields::find(const char* key) const {
  const Json* value = chat::member(*object_, key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::optional<double>> Fields::number(const char* key, double low, double high) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= low && number <= high) return number;
  }
  return wrong(key, fmt::format("a number from {} to {}", low, high), value);
}

Result<std::optional<int64_t>> Fields::integer(const char* key, int64_t low, int64_t high) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = as_integer(*value);
  if (number && *number >= low && *number <= high) return *number;
  return wrong(key, fmt::format("an integer from {} to {}", low, high), value);
}

Result<std::optional<bool>> Fields::boolean(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return wrong(key, "true or false", value);
  return value->get<bool>();
}

Result<std::optional<std::string>> Fields::text(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong(key, "a string", value);
  return value->get<std::string>();
}

Result<std::string> Fields::required_text(const char* key) const {
  ATELIER_TRY(auto value, text(key));
  if (!value) return wrong(key, "a string", nullptr);
  return *value;
}

Result<const Json*> Fields::object(const char* key) const {
  const Json* value = find(key);
  if (value != nullptr && !value->is_object()) return wrong(key, "an object", value);
  return value;
}

Result<const Json*> Fields::array(const char* key) const {
  const Json* value = find(key);
  if (value != nullptr && !value->is_array()) return wrong(key, "an array", value);
  return value;
}

Result<Json> parse_body(std::string_view text) {
  ATELIER_TRY(Json body, chat::parse_json(text, "body"));
  if (!body.is_object())
    return fail(ErrorCode::kInvalidArgument, "body: expected an object, found {}", body.type_name());
  return body;
}

}  // namespace atelier::server
