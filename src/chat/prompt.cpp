#include "chat/prompt.h"

namespace atelier::chat {

Prompt& Prompt::control(TokenId id) {
  segments_.push_back({id, {}});
  return *this;
}

Prompt& Prompt::text(std::string_view text) {
  if (text.empty()) return *this;
  if (segments_.empty() || segments_.back().control != kText) segments_.push_back({});
  segments_.back().text += text;
  return *this;
}

Prompt& Prompt::piece(std::string_view text) {
  if (!text.empty()) segments_.push_back({kText, std::string(text)});
  return *this;
}

Prompt& Prompt::ids(std::span<const TokenId> ids) {
  for (const TokenId id : ids) control(id);
  return *this;
}

void Prompt::append(const Prompt& other) {
  segments_.insert(segments_.end(), other.segments_.begin(), other.segments_.end());
}

std::vector<TokenId> Prompt::encode(const Tokenizer& tokenizer) const {
  std::vector<TokenId> ids;
  for (const Segment& segment : segments_) {
    if (segment.control == kText)
      tokenizer.encode(segment.text, Specials::kAsText, ids);
    else
      ids.push_back(segment.control);
  }
  return ids;
}

std::string Prompt::to_text(const Tokenizer& tokenizer) const {
  std::string out;
  for (const Segment& segment : segments_)
    out += segment.control == kText ? std::string_view(segment.text) : tokenizer.token_bytes(segment.control);
  return out;
}

}  // namespace atelier::chat
