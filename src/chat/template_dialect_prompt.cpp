#include "chat/template_dialect_prompt.h"

#include <algorithm>

#include "chat/template/chars.h"

namespace atelier::chat {
namespace {

bool is_punctuation(char c) {
  return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7f);
}

// Whether `text` could be one: asking the tokenizer about every token would take too long.
bool may_be_markup(std::string_view text) {
  return text.size() >= 3 && is_punctuation(text.front()) && is_punctuation(text.back());
}

bool encodes_to(const Tokenizer& tokenizer, const std::string& text, Specials specials, TokenId id) {
  const std::vector<TokenId> ids = tokenizer.encode(text, specials);
  return ids.size() == 1 && ids[0] == id;
}

}  // namespace

ControlTokens::ControlTokens(const Tokenizer& tokenizer) {
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId id = 0; id < size; ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.empty() || (!tokenizer.is_special(id) && !may_be_markup(bytes))) continue;
    const std::string text(bytes);
    if (!encodes_to(tokenizer, text, Specials::kRecognised, id) ||
        encodes_to(tokenizer, text, Specials::kAsText, id))
      continue;
    tokens_.push_back({text, id, encodes_to(tokenizer, " " + text, Specials::kRecognised, id),
                       encodes_to(tokenizer, text + " ", Specials::kRecognised, id)});
  }
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) {
    const auto first_a = static_cast<unsigned char>(a.text[0]);
    const auto first_b = static_cast<unsigned char>(b.text[0]);
    return first_a != first_b ? first_a < first_b : a.text.size() > b.text.size();
  });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    Range& range = by_first_byte_[static_cast<unsigned char>(tokens_[i].text[0])];
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
}

const ControlTokens::Token* ControlTokens::longest_at(std::string_view text) const {
  const Range range = by_first_byte_[static_cast<unsigned char>(text[0])];
  for (size_t i = range.begin; i < range.end; ++i)
    if (text.starts_with(tokens_[i].text)) return &tokens_[i];
  return nullptr;
}

Prompt ControlTokens::prompt(const jinja::Text& text) const {
  const std::string_view bytes = text.bytes();
  Prompt out;
  size_t written = 0;  // bytes that stand in `out`
  for (const jinja::ByteRange& range : text.trusted_ranges()) {
    for (size_t at = std::max(range.begin, written); at < range.end;) {
      const Token* token = longest_at(bytes.substr(at, range.end - at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      size_t text_end = at;
      if (token->lstrip)
        text_end = written + jinja::strip(bytes.substr(written, at - written), {}, false, true).end;
      out.text(bytes.substr(written, text_end - written)).control(token->id);
      at += token->text.size();
      if (token->rstrip) at += jinja::strip(bytes.substr(at), {}, true, false).begin;
      written = at;
    }
  }
  out.text(bytes.substr(written));
  return out;
}

}  // namespace atelier::chat
