#include "io/model_names.h"

#include <algorithm>
#include <charconv>

namespace atelier {
namespace {

constexpr size_t kMaxStoreNameBytes = 128;

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

bool parse_five_digits(std::string_view digits, unsigned int& value) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return digits.size() == 5 && error == std::errc() && end == digits.data() + digits.size();
}

}  // namespace

bool is_store_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxStoreNameBytes && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

Status check_store_name(std::string_view name) {
  if (is_store_name(name)) return {};
  return fail(ErrorCode::kInvalidArgument,
              "{}: not a name for the model store: expected letters, digits, '.', '_' and '-', at most 128",
              name);
}

std::string store_name_from(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const char kept = is_store_name(std::string{'x', c}) ? c : '-';
    const bool leading = name.empty() && !is_alnum(kept);
    const bool repeated = kept == '-' && !name.empty() && name.back() == '-';
    if (!leading && !repeated) name += kept;
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.substr(0, kMaxStoreNameBytes);
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c == '/' || c < 0x20 || c == 0x7f; });
}

std::string SplitName::part(unsigned int number) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, parts);
}

SplitName parse_split_name(std::string_view file_name) {
  constexpr size_t kSuffix = std::string_view("-00001-of-00001").size();
  const std::string_view stem = file_name.substr(0, file_name.rfind('.'));
  if (stem.size() <= kSuffix) return {std::string(stem), 0};
  const std::string_view suffix = stem.substr(stem.size() - kSuffix);
  unsigned int number = 0;
  unsigned int parts = 0;
  const bool split = suffix[0] == '-' && suffix.substr(6, 4) == "-of-" &&
                     parse_five_digits(suffix.substr(1, 5), number) &&
                     parse_five_digits(suffix.substr(10, 5), parts) && number >= 1 && number <= parts;
  if (!split) return {std::string(stem), 0};
  return {std::string(stem.substr(0, stem.size() - kSuffix)), parts};
}

}  // namespace atelier
