#include "models/config_reader.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace atelier {
namespace {

// What was found, short enough for one line of an error.
std::string shown(const nlohmann::json& value) {
  constexpr size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "…";
  return text;
}

}  // namespace

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(prefix_ + std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

tl::unexpected<Error> ConfigReader::wrong(std::string_view key, std::string_view expected) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr)
    return fail(ErrorCode::kCorrupt, "configuration: {}{}: expected {}, found nothing", prefix_, key,
                expected);
  return fail(ErrorCode::kCorrupt, "configuration: {}{}: expected {}, found {}", prefix_, key, expected,
              shown(*value));
}

bool ConfigReader::has(std::string_view key) const { return find(key) != nullptr; }

Result<uint64_t> ConfigReader::size(std::string_view key, uint64_t max) const {
  const nlohmann::json* value = find(key);
  if (value != nullptr && value->is_number_integer() &&
      (value->is_number_unsigned() || value->get<int64_t>() >= 0)) {
    const uint64_t size = value->get<uint64_t>();
    if (size >= 1 && size <= max) return size;
  }
  return wrong(key, fmt::format("an integer from 1 to {}", max));
}

Result<uint64_t> ConfigReader::size_or(std::string_view key, uint64_t max, uint64_t fallback) const {
  return has(key) ? size(key, max) : Result<uint64_t>(fallback);
}

Result<double> ConfigReader::number(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>()))
    return wrong(key, "a number");
  return value->get<double>();
}

Result<double> ConfigReader::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : Result<double>(fallback);
}

Result<bool> ConfigReader::flag_or(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> ConfigReader::text_or(std::string_view key, std::string_view fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return wrong(key, "a string");
  return value->get<std::string>();
}

Result<std::vector<int32_t>> ConfigReader::ids(std::string_view key) const {
  const nlohmann::json* value = find(key);
  std::vector<int32_t> ids;
  if (value == nullptr) return ids;
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  for (const nlohmann::json& item : list) {
    if (!item.is_number_integer() || item < 0 || item > std::numeric_limits<int32_t>::max())
      return wrong(key, "a token id or a list of them");
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

Result<std::vector<std::string>> ConfigReader::texts(std::string_view key) const {
  const nlohmann::json* value = find(key);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  if (!value->is_array()) return wrong(key, "a list of strings");
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) return wrong(key, "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<ConfigReader> ConfigReader::object(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_object()) return std::nullopt;
  return ConfigReader(*value, "");
}

}  // namespace atelier
