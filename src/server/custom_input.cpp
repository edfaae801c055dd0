#include "server/custom_input.h"

#include <optional>

#include "base/utf8.h"
#include "chat/json_text.h"

namespace atelier::server {
namespace {

constexpr std::string_view kKey = "\"input\"";

std::optional<uint32_t> hex4(std::string_view text) {
  uint32_t value = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

// How far `{ "input" : "` has been read: the bytes of it, 0 while it is not whole yet, nothing if it is
// something else.
std::optional<size_t> opening(std::string_view text) {
  size_t at = 0;
  for (const std::string_view part :
       {std::string_view("{"), kKey, std::string_view(":"), std::string_view("\"")}) {
    at = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    const std::string_view rest = text.substr(at, part.size());
    if (part.substr(0, rest.size()) != rest) return std::nullopt;
    if (rest.size() < part.size()) return 0;
    at += part.size();
  }
  return at;
}

}  // namespace

const char* const kCustomToolSchema =
    R"({"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false})";

std::string custom_arguments(std::string_view input) {
  return chat::compact_json(chat::Json{{"input", input}});
}

std::string CustomInputReader::push(std::string_view arguments) {
  held_ += arguments;
  if (state_ == State::kBefore) {
    const auto begin = opening(held_);
    if (begin && *begin == 0) return {};
    state_ = begin ? State::kInside : State::kRaw;
    held_.erase(0, begin.value_or(0));
  }
  if (state_ == State::kRaw) return std::exchange(held_, {});
  if (state_ == State::kAfter) held_.clear();
  std::string out;
  while (state_ == State::kInside && !held_.empty()) {
    const size_t plain = std::min(held_.find_first_of("\\\""), held_.size());
    out += held_.substr(0, plain);
    held_.erase(0, plain);
    if (held_.empty()) break;
    if (held_[0] == '"') {
      state_ = State::kAfter;
      held_.clear();
    } else if (!read_escape(out)) {
      break;
    }
  }
  return out;
}

// False while the escape is not whole; half of a surrogate pair waits for the other.
bool CustomInputReader::read_escape(std::string& out) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
  if (held_.size() < 2) return false;
  if (held_[1] != 'u') {
    const size_t known = kNames.find(held_[1]);
    out += known == std::string_view::npos ? held_[1] : kValues[known];
    held_.erase(0, 2);
    return true;
  }
  if (held_.size() < 6) return false;
  uint32_t code = hex4(std::string_view(held_).substr(2, 4)).value_or(0xfffd);
  size_t used = 6;
  if (code >= 0xd800 && code < 0xdc00) {
    if (held_.size() < 12 && (held_.size() < 7 || held_[6] == '\\')) return false;
    const auto low =
        held_.compare(6, 2, "\\u") == 0 ? hex4(std::string_view(held_).substr(8, 4)) : std::nullopt;
    const bool pair = low && *low >= 0xdc00 && *low < 0xe000;
    code = pair ? 0x10000 + ((code - 0xd800) << 10) + (*low - 0xdc00) : 0xfffd;
    used = pair ? 12 : 6;
  } else if (code >= 0xdc00 && code < 0xe000) {
    code = 0xfffd;
  }
  append_utf8(code, out);
  held_.erase(0, used);
  return true;
}

std::string CustomInputReader::finish() {
  return state_ == State::kBefore ? std::exchange(held_, {}) : std::string();
}

}  // namespace atelier::server
