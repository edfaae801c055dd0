#include "text/pipeline.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace atelier {

Result<TokenizerPipeline::Matchers> TokenizerPipeline::make_matchers(const PipelineOptions& options,
                                                                     Specials specials) {
  std::array<std::vector<AddedToken>, 2> chosen;
  for (const AddedToken& token : options.added_tokens) {
    if (specials == Specials::kAsText && is_markup_token(token)) continue;
    AddedToken& copy = chosen[token.normalized ? 1 : 0].emplace_back(token);
    if (!token.normalized || options.normalizer.empty()) continue;
    ATELIER_CHECK_OK(options.normalizer.apply(token.content, copy.content));
    if (copy.content.empty()) chosen[1].pop_back();  // never found
  }
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
    std::string text;
    options.decoder.spelling.append_to(text, token.content);
    if (texts[token.id] != text) texts.set(token.id, text);
  }
  pipeline->special_.resize(texts.size());
  for (const AddedToken& token : options.added_tokens)
    if (is_control_token(token)) pipeline->special_[static_cast<size_t>(token.id)] = true;
  ATELIER_TRY(pipeline->all_, make_matchers(options, Specials::kRecognised));
  ATELIER_TRY(pipeline->as_text_, make_matchers(options, Specials::kAsText));
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

size_t TokenizerPipeline::bytes_before_text(TokenId first) const {
  const std::string_view bytes = texts_[first];
  switch (options_.decoder.begin) {
    case TokenDecoder::Begin::kAsIs:
      return 0;
    case TokenDecoder::Begin::kCutOneSpace:
      return bytes.starts_with(' ') ? 1 : 0;
    case TokenDecoder::Begin::kCutAllSpaces:
      return std::min(bytes.find_first_not_of(' '), bytes.size());
  }
  return 0;
}

std::optional<TokenId> TokenizerPipeline::find_token(std::string_view text) const {
  if (const std::optional<TokenId> id = all_[0].find_exactly(text)) return id;
  for (const AddedToken& token : options_.added_tokens)
    if (token.normalized && token.content == text) return token.id;
  TokenId id = model_->find(text);
  const TokenSpelling& spelling = options_.decoder.spelling;
  if (id == kNoToken && !spelling.space.empty()) {
    std::string spelled;
    for (const char c : text) {
      if (c == ' ')
        spelled += spelling.space;
      else
        spelled.push_back(c);
    }
    id = model_->find(spelled);
  }
  if (id == kNoToken && spelling.byte_tokens && text.size() == 1)
    id = model_->find(byte_token(static_cast<uint8_t>(text[0])));
  return id == kNoToken ? std::nullopt : std::optional<TokenId>(id);
}

// One call of encode().
struct TokenizerPipeline::Encoding {
  const Matchers& matchers;
  OnLimit on_limit;
  std::vector<TokenId>& ids;
};

void TokenizerPipeline::encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const {
  const Status encoded = encode_all(text, specials, OnLimit::kLeaveUnsplit, ids);
  ATELIER_CHECK(encoded.has_value());
}

Status TokenizerPipeline::try_encode(std::string_view text, Specials specials,
                                     std::vector<TokenId>& ids) const {
  const size_t before = ids.size();
  Status encoded = encode_all(text, specials, OnLimit::kFail, ids);
  if (!encoded) ids.resize(before);
  return encoded;
}

Status TokenizerPipeline::encode_all(std::string_view text, Specials specials, OnLimit on_limit,
                                     std::vector<TokenId>& ids) const {
  const Encoding encoding{specials == Specials::kRecognised ? all_ : as_text_, on_limit, ids};
  std::string normalised;
  const auto encode_part = [&](size_t begin, size_t end) -> Status {
    if (begin == end) return {};
    const std::string_view part = text.substr(begin, end - begin);
    if (options_.normalizer.empty()) return encode_normalised(part, begin == 0, encoding);
    if (Status done = options_.normalizer.apply(part, normalised); !done) {
      if (on_limit == OnLimit::kFail) return done;
      normalised = part;
    }
    return encode_normalised(normalised, begin == 0, encoding);
  };
  size_t at = 0;
  if (!encoding.matchers[0].empty()) {
    while (const auto match = encoding.matchers[0].find(text, at)) {
      ATELIER_CHECK_OK(encode_part(at, match->begin));
      ids.push_back(match->id);
      at = match->end;
    }
  }
  return encode_part(at, text.size());
}

Status TokenizerPipeline::encode_normalised(std::string_view text, bool first,
                                            const Encoding& encoding) const {
  const AddedTokenMatcher& matcher = encoding.matchers[1];
  size_t at = 0;
  if (!matcher.empty()) {
    while (const auto match = matcher.find(text, at)) {
      ATELIER_CHECK_OK(encode_plain(text.substr(at, match->begin - at), first && at == 0, encoding));
      encoding.ids.push_back(match->id);
      at = match->end;
    }
  }
  return encode_plain(text.substr(at), first && at == 0, encoding);
}

Status TokenizerPipeline::encode_plain(std::string_view text, bool first, const Encoding& encoding) const {
  if (text.empty()) return {};
  const PreTokenizer& pre_tokenizer = options_.pre_tokenizer;
  PieceCache cache(text.size());
  if (!pre_tokenizer.is_simple()) {
    PieceArena arena;
    std::vector<std::string_view> pieces;
    if (Status split = pre_tokenizer.split(text, first, arena, pieces); !split) {
      if (encoding.on_limit == OnLimit::kFail) return split;
      pieces.assign(1, text);
    }
    for (size_t i = 0; i < pieces.size(); i += PieceModel::kMaxBatch)
      model_->encode(std::span(pieces).subspan(i, std::min(PieceModel::kMaxBatch, pieces.size() - i)), cache,
                     encoding.ids);
    return {};
  }
  PieceReader reader(pre_tokenizer.simple_steps(), text);
  std::array<std::string_view, PieceModel::kMaxBatch> batch;
  for (size_t n = batch.size(); n == batch.size();) {
    for (n = 0; n < batch.size() && reader.next(batch[n]);) ++n;
    model_->encode(std::span(batch).first(n), cache, encoding.ids);
  }
  return {};
}

}  // namespace atelier
