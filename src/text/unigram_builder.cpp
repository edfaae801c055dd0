#include "text/unigram_builder.h"

namespace atelier {

Status UnigramBuilder::reserve_control(std::string_view content, TokenId id) {
  ATELIER_TRY([[maybe_unused]] const TokenId before, controls_.insert(content, id));
  return {};
}

Status UnigramBuilder::add_token(std::string_view text, double score) {
  if (tokens_.size() > static_cast<size_t>(kMaxTokenId))
    return fail(ErrorCode::kLimit, "expected at most {} tokens", kMaxTokenId + 1);
  const auto id = static_cast<TokenId>(tokens_.size());
  const bool control = controls_.find(text) != kNoToken;
  tokens_.push_back({bytes_.size(), text.size(), score, !control});
  bytes_ += text;
  ATELIER_TRY([[maybe_unused]] const TokenId before, ids_.insert(text, id));
  spelled_.clear();
  spelling_.append_to(spelled_, text);
  texts_.set(id, spelled_);
  return {};
}

Result<std::unique_ptr<Unigram>> UnigramBuilder::build(UnigramOptions options) const {
  std::vector<UnigramToken> tokens;
  tokens.reserve(tokens_.size());
  for (const Token& token : tokens_)
    tokens.push_back(
        {std::string_view(bytes_).substr(token.offset, token.length), token.score, token.in_text});
  return Unigram::create(tokens, std::move(options));
}

}  // namespace atelier
