#include "agent/tui/keys.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "agent/workspace/quote.h"

namespace atelier::agent::tui {
namespace {

constexpr char kEscapeByte = '\x1b';
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr size_t kMaxSequence = 32;

using Code = Key::Code;

std::optional<Code> letter_code(char letter) {
  switch (letter) {
    case 'A':
      return Code::kUp;
    case 'B':
      return Code::kDown;
    case 'C':
      return Code::kRight;
    case 'D':
      return Code::kLeft;
    case 'H':
      return Code::kHome;
    case 'F':
      return Code::kEnd;
    case 'M':
      return Code::kEnter;
    case 'Z':
      return Code::kBackTab;
    default:
      return std::nullopt;
  }
}

std::optional<Code> number_code(int number) {
  switch (number) {
    case 1:
    case 7:
      return Code::kHome;
    case 3:
      return Code::kDelete;
    case 4:
    case 8:
      return Code::kEnd;
    case 5:
      return Code::kPageUp;
    case 6:
      return Code::kPageDown;
    default:
      return std::nullopt;
  }
}

// Keys that terminals with the newer protocol report by their code point ("13;2u" is Shift-Enter).
std::optional<Key> code_point_key(int number) {
  switch (number) {
    case 9:
      return Key{.code = Code::kTab};
    case 13:
      return Key{.code = Code::kEnter};
    case 27:
      return Key{.code = Code::kEscape};
    case 127:
      return Key{.code = Code::kBackspace};
    default:
      break;
  }
  if (number < 32 || number > 126) return std::nullopt;
  return Key{.code = Code::kText, .text = std::string(1, static_cast<char>(number))};
}

std::string with_newlines(std::string_view pasted) {
  std::string out;
  for (size_t i = 0; i < pasted.size(); ++i) {
    if (pasted[i] == '\r') {
      out += '\n';
      if (i + 1 < pasted.size() && pasted[i + 1] == '\n') ++i;
    } else {
      out += pasted[i];
    }
  }
  return out;
}

}  // namespace

std::vector<Key> KeyReader::push(std::string_view bytes) {
  held_ += bytes;
  std::vector<Key> out;
  while (!held_.empty()) {
    const size_t used = read_one(out, /*last=*/false);
    if (used == 0) break;
    held_.erase(0, used);
  }
  return out;
}

std::vector<Key> KeyReader::flush() {
  std::vector<Key> out;
  while (!held_.empty() && !pasting_) held_.erase(0, std::max<size_t>(1, read_one(out, /*last=*/true)));
  return out;
}

size_t KeyReader::read_one(std::vector<Key>& out, bool last) {
  if (pasting_) {
    const size_t end = held_.find(kPasteEnd);
    // The end marker may stand half in this piece.
    const size_t take =
        end != std::string::npos ? end : held_.size() - std::min(held_.size(), kPasteEnd.size() - 1);
    if (pasted_.size() < kMaxPasteBytes) pasted_.append(held_, 0, take);
    if (end == std::string::npos) return take;
    pasting_ = false;
    out.push_back({.code = Code::kPaste, .text = with_newlines(std::exchange(pasted_, {}))});
    return end + kPasteEnd.size();
  }
  const char c = held_[0];
  if (c == kEscapeByte) return read_escape(out, last);
  if (c == '\r') return out.push_back({.code = Code::kEnter}), 1;
  // Ctrl-J: a new line in the text, as Enter is what sends it.
  if (c == '\n') return out.push_back({.code = Code::kEnter, .control = true}), 1;
  if (c == '\t') return out.push_back({.code = Code::kTab}), 1;
  if (c == '\x7f' || c == '\b') return out.push_back({.code = Code::kBackspace}), 1;
  if (static_cast<unsigned char>(c) < 0x20) {
    const char letter = static_cast<char>(c + '`');
    return out.push_back({.code = Code::kText, .text = std::string(1, letter), .control = true}), 1;
  }
  size_t bytes = 0;
  for (char32_t code_point = 0; bytes < held_.size();) {
    const auto byte = static_cast<unsigned char>(held_[bytes]);
    const size_t n = byte < 0x20 || byte == 0x7f ? 0 : utf8_at(held_, bytes, code_point);
    if (n == 0) break;
    bytes += n;
  }
  if (bytes > 0) return out.push_back({.code = Code::kText, .text = held_.substr(0, bytes)}), bytes;
  // Half a character, or a byte that is none.
  const size_t wanted = static_cast<unsigned char>(c) >= 0xf0   ? 4
                        : static_cast<unsigned char>(c) >= 0xe0 ? 3
                                                                : 2;
  return held_.size() < wanted && !last ? 0 : 1;
}

size_t KeyReader::read_escape(std::vector<Key>& out, bool last) {
  if (held_.size() == 1) return last ? (out.push_back({.code = Code::kEscape}), 1) : 0;
  const char next = held_[1];
  if (next == '[') return read_csi(out, last, 2, false);
  if (next == kEscapeByte && held_.size() > 2 && held_[2] == '[') return read_csi(out, last, 3, true);
  if (next == kEscapeByte) return out.push_back({.code = Code::kEscape}), 1;
  if (next == 'O') {
    if (held_.size() == 2)
      return last ? (out.push_back({.code = Code::kText, .text = "O", .alt = true}), 2) : 0;
    if (const auto code = letter_code(held_[2])) out.push_back({.code = *code});
    return 3;
  }
  if (next == '\r' || next == '\n') return out.push_back({.code = Code::kEnter, .alt = true}), 2;
  if (next == '\x7f' || next == '\b') return out.push_back({.code = Code::kBackspace, .alt = true}), 2;
  if (static_cast<unsigned char>(next) >= 0x20 && static_cast<unsigned char>(next) < 0x7f)
    return out.push_back({.code = Code::kText, .text = std::string(1, next), .alt = true}), 2;
  return out.push_back({.code = Code::kEscape}), 1;
}

size_t KeyReader::read_csi(std::vector<Key>& out, bool last, size_t begin, bool alt) {
  std::array<int, 4> numbers{};
  size_t n_numbers = 0, at = begin;
  for (; at < held_.size() && at < begin + kMaxSequence; ++at) {
    const char c = held_[at];
    if (c >= '0' && c <= '9') {
      if (n_numbers == 0) n_numbers = 1;
      if (n_numbers <= numbers.size())
        numbers[n_numbers - 1] = std::min(100000, numbers[n_numbers - 1] * 10 + (c - '0'));
    } else if (c == ';') {
      n_numbers = std::max<size_t>(1, n_numbers) + 1;
    } else if (c >= '@' && c <= '~') {
      break;
    }
  }
  if (at >= held_.size() && !last && held_.size() < begin + kMaxSequence) return 0;
  if (at >= held_.size() || at >= begin + kMaxSequence) return at;  // nothing we know
  const char final = held_[at];
  const int modifiers = n_numbers >= 2 && numbers[1] > 0 ? numbers[1] - 1 : 0;
  Key key{.control = (modifiers & 4) != 0, .alt = alt || (modifiers & 2) != 0, .shift = (modifiers & 1) != 0};
  if (final == '~' && numbers[0] == 200) {
    pasting_ = true;
    return at + 1;
  }
  // "27;5;13~" is how some terminals report keys with modifiers.
  const bool other_keys = final == '~' && numbers[0] == 27 && n_numbers >= 3;
  if (final == 'u' || other_keys) {
    const auto typed = code_point_key(other_keys ? numbers[2] : numbers[0]);
    if (!typed) return at + 1;
    key.code = typed->code;
    key.text = typed->text;
    out.push_back(std::move(key));
    return at + 1;
  }
  const auto code = final == '~' ? number_code(numbers[0]) : letter_code(final);
  if (code) {
    key.code = *code;
    out.push_back(std::move(key));
  }
  return at + 1;
}

}  // namespace atelier::agent::tui
