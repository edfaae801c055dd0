#include "io/names.h"

#include <simdjson.h>

#include <algorithm>

namespace atelier {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

bool is_clean_name(std::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), is_control) &&
         simdjson::validate_utf8(name.data(), name.size());
}

std::string shown(std::string_view name) {
  std::string text(name.substr(0, 80));
  for (char& c : text)
    if (is_control(c) || static_cast<unsigned char>(c) >= 0x80) c = '?';
  return name.size() > 80 ? text + "..." : text;
}

std::string_view NameArena::keep(std::string_view name) {
  if (name.empty()) return {};
  if (name.size() > kChunkBytes / 4) {  // one of its own, put before the chunk in use
    auto own = std::make_unique_for_overwrite<char[]>(name.size());
    char* const at = own.get();
    std::copy(name.begin(), name.end(), at);
    chunks_.insert(chunks_.empty() ? chunks_.end() : chunks_.end() - 1, std::move(own));
    return {at, name.size()};
  }
  if (used_ + name.size() > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    used_ = 0;
  }
  char* const at = chunks_.back().get() + used_;
  std::copy(name.begin(), name.end(), at);
  used_ += name.size();
  return {at, name.size()};
}

Status sort_by_name(std::vector<TensorView>& tensors) {
  const auto by_name = [](const TensorView& a, const TensorView& b) { return a.name < b.name; };
  std::sort(tensors.begin(), tensors.end(), by_name);
  const auto twin = std::adjacent_find(tensors.begin(), tensors.end(),
                                       [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twin != tensors.end())
    return fail(ErrorCode::kCorrupt, "tensor {}: expected one of this name, found two", shown(twin->name));
  return {};
}

}  // namespace atelier
