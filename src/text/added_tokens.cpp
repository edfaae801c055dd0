#include "text/added_tokens.h"

#include <algorithm>
#include <tuple>

#include "text/unicode.h"

namespace atelier {
namespace {

constexpr std::string_view kFullwidthBar = "\xEF\xBD\x9C";  // ｜, in DeepSeek's control tokens

constexpr bool is_ascii_punctuation(char c) {
  return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
}

// \w, but for a few connecting characters.
constexpr ClassSet kWordClasses = kLetters | class_set(CharClass::kMark, CharClass::kNumber);

bool is_word_char(const Utf8Char& c) {
  return c.valid && (c.code_point == '_' || contains(kWordClasses, CharClasses::get()[c.code_point]));
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word_char(decode_utf8(text.data(), text.data() + text.size()));
}

// The last character of a text that is not empty.
Utf8Char last_char(std::string_view text) {
  const char* end = text.data() + text.size();
  for (size_t n = std::min<size_t>(4, text.size()); n > 1; --n) {
    const Utf8Char c = decode_utf8(end - n, end);
    if (c.valid && c.length == n) return c;
  }
  return decode_utf8(end - 1, end);
}

bool ends_with_word(std::string_view text) { return !text.empty() && is_word_char(last_char(text)); }

bool is_space(const Utf8Char& c) { return CharClasses::get()[c.code_point] == CharClass::kSpace; }

size_t leading_space(std::string_view text) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    const Utf8Char c = decode_utf8(at, end);
    if (!is_space(c)) break;
    at += c.length;
  }
  return static_cast<size_t>(at - text.data());
}

size_t without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = last_char(text);
    if (!is_space(c)) break;
    text.remove_suffix(c.length);
  }
  return text.size();
}

}  // namespace

bool is_control_token(const AddedToken& token) {
  const std::string_view text = token.content;
  const auto inside = [&](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) && text.ends_with(close);
  };
  return token.special || inside("<|", "|>") ||
         inside("<" + std::string(kFullwidthBar), std::string(kFullwidthBar) + ">");
}

bool is_markup_token(const AddedToken& token) {
  const std::string_view text = token.content;
  return is_control_token(token) ||
         (text.size() >= 3 && is_ascii_punctuation(text.front()) && is_ascii_punctuation(text.back()));
}

Result<AddedTokenMatcher> AddedTokenMatcher::create(std::vector<AddedToken> tokens) {
  AddedTokenMatcher matcher;
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) {
    return std::tie(a.content, a.id) < std::tie(b.content, b.id);
  });
  for (AddedToken& token : tokens) {
    if (token.content.empty()) return fail(ErrorCode::kCorrupt, "added token {} is empty", token.id);
    if (token.content.size() > kMaxAddedTokenBytes)
      return fail(ErrorCode::kLimit, "added token {}: expected at most {} bytes, found {}", token.id,
                  kMaxAddedTokenBytes, token.content.size());
    if (!matcher.tokens_.empty() && matcher.tokens_.back().content == token.content) {
      if (matcher.tokens_.back().id != token.id)
        return fail(ErrorCode::kCorrupt, "added token \"{}\" has two ids, {} and {}", token.content,
                    matcher.tokens_.back().id, token.id);
      continue;
    }
    matcher.tokens_.push_back(std::move(token));
  }
  for (uint32_t i = 0; i < matcher.tokens_.size(); ++i) {
    Range& range = matcher.by_first_byte_[static_cast<uint8_t>(matcher.tokens_[i].content[0])];
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
  return matcher;
}

std::optional<TokenId> AddedTokenMatcher::find_exactly(std::string_view content) const {
  const auto token = std::lower_bound(
      tokens_.begin(), tokens_.end(), content,
      [](const AddedToken& candidate, std::string_view value) { return candidate.content < value; });
  if (token == tokens_.end() || token->content != content) return std::nullopt;
  return token->id;
}

// Narrows the sorted tokens that share the text's beginning, byte by byte.
const AddedToken* AddedTokenMatcher::longest_at(std::string_view text) const {
  const Range range = by_first_byte_[static_cast<uint8_t>(text[0])];
  auto begin = tokens_.begin() + range.begin;
  auto end = tokens_.begin() + range.end;
  const AddedToken* longest = nullptr;
  for (size_t depth = 1; begin != end; ++depth) {
    if (begin->content.size() == depth) longest = &*begin++;
    if (depth == text.size()) break;
    const auto byte = static_cast<uint8_t>(text[depth]);
    begin = std::lower_bound(begin, end, byte, [depth](const AddedToken& token, uint8_t value) {
      return static_cast<uint8_t>(token.content[depth]) < value;
    });
    end = std::upper_bound(begin, end, byte, [depth](uint8_t value, const AddedToken& token) {
      return value < static_cast<uint8_t>(token.content[depth]);
    });
  }
  return longest;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (by_first_byte_[static_cast<uint8_t>(text[at])].end == 0) continue;
    const AddedToken* token = longest_at(text.substr(at));
    if (token == nullptr) continue;
    Match match{at, at + token->content.size(), token->id};
    const std::string_view before = text.substr(0, match.begin);
    const std::string_view behind = text.substr(match.end);
    if (token->single_word && (ends_with_word(before) || starts_with_word(behind))) {
      at = match.end - 1;
      continue;
    }
    if (token->lstrip) match.begin = from + without_trailing_space(before.substr(from));
    if (token->rstrip) match.end += leading_space(behind);
    return match;
  }
  return std::nullopt;
}

}  // namespace atelier
