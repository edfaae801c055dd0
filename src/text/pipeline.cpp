#include "text/pipeline.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace atelier {

Result<TokenizerPipeline::Matchers> TokenizerPipeline::make_matchers(const std::vector<AddedToken>& tokens,
                                                                     Specials specials) {
  std::array<std::vector<AddedToken>, 2> chosen;
  for (const AddedToken& token : tokens)
    if (specials == Specials::kRecognised || !is_markup_token(token))
      chosen[token.normalized ? 1 : 0].push_back(token);
  Matchers matchers;
  for (size_t i = 0; i < chosen.size(); ++i) {
    ATELIER_TRY(matchers[i], AddedTokenMatcher::create(std::move(chosen[i])));
  }
  return matchers;
}

Result<std::shared_ptr<const Tokenizer>> TokenizerPipeline::create(PipelineOptions options, TokenTexts texts,
                                                                   std::unique_ptr<PieceModel> model) {
  auto pipeline = std::make_shared<TokenizerPipeline>();
  for (const AddedToken& token : options.added_tokens) {
    ATELIER_CHECK(token.id >= 0 && token.id <= kMaxTokenId);
    if (texts[token.id] != token.content) texts.set(token.id, token.content);
  }
  pipeline->special_.resize(texts.size());
  for (const AddedToken& token : options.added_tokens)
    if (is_control_token(token)) pipeline->special_[static_cast<size_t>(token.id)] = true;
  ATELIER_TRY(pipeline->all_, make_matchers(options.added_tokens, Specials::kRecognised));
  ATELIER_TRY(pipeline->as_text_, make_matchers(options.added_tokens, Specials::kAsText));
  for (const std::optional<TokenId>& id : {options.bos, options.eos})
    if (id && !texts.contains(*id))
      return fail(ErrorCode::kCorrupt, "the BOS or EOS id {} is outside the vocabulary", *id);
  pipeline->options_ = std::move(options);
  pipeline->texts_ = std::move(texts);
  pipeline->model_ = std::move(model);
  return pipeline;
}

bool TokenizerPipeline::is_special(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < special_.size() && special_[static_cast<size_t>(id)];
}

std::optional<TokenId> TokenizerPipeline::find_token(std::string_view text) const {
  for (const AddedTokenMatcher& matcher : all_)
    if (const std::optional<TokenId> id = matcher.find_exactly(text)) return id;
  const TokenId id = model_->find(text);
  return id == kNoToken ? std::nullopt : std::optional<TokenId>(id);
}

void TokenizerPipeline::encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const {
  encode_with(specials == Specials::kRecognised ? all_ : as_text_, text, ids);
}

void TokenizerPipeline::encode_with(std::span<const AddedTokenMatcher> matchers, std::string_view text,
                                    std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  if (matchers.empty()) return encode_plain(text, ids);
  const std::span<const AddedTokenMatcher> rest = matchers.subspan(1);
  if (matchers[0].empty()) return encode_with(rest, text, ids);
  size_t at = 0;
  while (const auto match = matchers[0].find(text, at)) {
    encode_with(rest, text.substr(at, match->begin - at), ids);
    ids.push_back(match->id);
    at = match->end;
  }
  encode_with(rest, text.substr(at), ids);
}

void TokenizerPipeline::encode_plain(std::string_view text, std::vector<TokenId>& ids) const {
  std::string prefixed;
  if (options_.add_prefix_space && !text.starts_with(' ')) {
    prefixed.reserve(text.size() + 1);
    prefixed.append(1, ' ').append(text);
    text = prefixed;
  }
  PieceReader pieces(options_.split_steps, text);
  for (std::string_view piece; pieces.next(piece);) model_->encode(piece, ids);
}

}  // namespace atelier
