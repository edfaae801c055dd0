#include "text/tokenizer.h"

#include <utility>

#include "text/unicode.h"

namespace atelier {

std::vector<TokenId> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<TokenId> ids;
  encode(text, specials, ids);
  return ids;
}

Status Tokenizer::try_encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const {
  encode(text, specials, ids);
  return {};
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id);
  if (!ids.empty()) bytes.erase(0, bytes_before_text(ids[0]));
  std::string text;
  append_utf8_lossy(bytes, text);
  return text;
}

std::string StreamDecoder::push(TokenId id) {
  const size_t cut = std::exchange(begins_, false) ? tokenizer_->bytes_before_text(id) : 0;
  pending_ += tokenizer_->token_bytes(id).substr(cut);
  const size_t complete = pending_.size() - incomplete_utf8_tail(pending_);
  std::string text;
  append_utf8_lossy(std::string_view(pending_).substr(0, complete), text);
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_utf8_lossy(pending_, text);
  pending_.clear();
  return text;
}

}  // namespace atelier
