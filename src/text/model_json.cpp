#include "text/model_json.h"

namespace atelier {

TokenId read_token_id(JsonReader& reader) {
  const int64_t id = reader.integer();
  if (id >= 0 && id <= kMaxTokenId) return static_cast<TokenId>(id);
  reader.fail_here(
      {ErrorCode::kLimit, fmt::format("expected a token id from 0 to {}, found {}", kMaxTokenId, id)});
  return 0;
}

// One pass, where the members stand in the order in which they are always written.
void JsonModel::read(JsonReader& reader) {
  std::optional<size_t> vocab_at;
  std::optional<size_t> merges_at;
  const auto postpone = [&](std::optional<size_t>& at) {
    at = reader.position();
    reader.skip();
  };
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "vocab" && (vocab_at || bpe_ || unigram_)) {
      reader.fail_here("a second \"vocab\"");
    } else if (key == "merges" && (merges_at || has_merges_)) {
      reader.fail_here("a second \"merges\"");
    } else if (key == "vocab" && type_ != Type::kUnknown) {
      read_vocab(reader);
    } else if (key == "vocab") {
      postpone(vocab_at);
    } else if (key == "merges" && bpe_) {
      read_merges(reader);
    } else if (key == "merges") {
      postpone(merges_at);
    } else {
      read_option(std::string(key), reader);
    }
  }
  if (vocab_at) read_later(vocab_at, &JsonModel::read_vocab, reader);
  if (merges_at && bpe_) read_later(merges_at, &JsonModel::read_merges, reader);
  if (!reader.ok()) return;
  if (!unigram_ && !(bpe_ && has_merges_)) reader.fail_here("the model has no vocab or no merges");
}

void JsonModel::read_later(std::optional<size_t> at, void (JsonModel::*read)(JsonReader&),
                           JsonReader& reader) {
  if (!reader.ok()) return;
  JsonReader again(text_, *at);
  (this->*read)(again);
  if (!again.ok()) reader.fail_with(again.status().error());
}

void JsonModel::read_option(std::string_view key, JsonReader& reader) {
  const auto refuse = [&reader](std::string_view what) {
    reader.fail_here({ErrorCode::kUnsupported, std::string(what)});
  };
  if (key == "type") {
    const std::string type(reader.string());
    if (type == "BPE")
      type_ = Type::kBpe;
    else if (type == "Unigram")
      type_ = Type::kUnigram;
    else
      refuse(fmt::format("model type \"{}\"", type));
  } else if (reader.null()) {
    return;
  } else if (key == "ignore_merges") {
    options_.ignore_merges = reader.boolean();
  } else if (key == "fuse_unk") {
    options_.fuse_unk = reader.boolean();
  } else if (key == "byte_fallback") {
    byte_fallback_ = reader.boolean();
    if (byte_fallback_ && decoder_.byte_level) refuse("byte_fallback in a byte-level model");
  } else if (key == "unk_token") {
    unk_token_ = reader.string();
  } else if (key == "unk_id") {
    unk_id_ = read_token_id(reader);
  } else if (key == "dropout") {
    if (reader.number() != 0) refuse("dropout");
  } else if (key == "continuing_subword_prefix" || key == "end_of_word_suffix") {
    if (!reader.string().empty()) refuse(key);
  } else {
    reader.skip();
  }
}

template <class Builder>
Status JsonModel::reserve_controls(Builder& builder) const {
  for (const AddedToken& token : added_)
    if (is_control_token(token)) ATELIER_CHECK_OK(builder.reserve_control(token.content, token.id));
  return {};
}

void JsonModel::read_vocab(JsonReader& reader) {
  if (type_ == Type::kUnknown)
    type_ = reader.peek() == JsonReader::Kind::kArray ? Type::kUnigram : Type::kBpe;
  if (type_ == Type::kBpe)
    read_bpe_vocab(reader);
  else
    read_unigram_vocab(reader);
}

void JsonModel::read_bpe_vocab(JsonReader& reader) {
  // An entry of a real vocabulary with its merges takes some 50 bytes; the hint is bounded for files that are
  // not.
  bpe_.emplace(decoder_.byte_level ? BpeSymbols::kBytes : BpeSymbols::kCharacters, decoder_.spelling,
               std::min<size_t>(text_.size() / 48, 1 << 18));
  if (Status reserved = reserve_controls(*bpe_); !reserved)
    return reader.fail_here(std::move(reserved).error());
  std::string token;
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    token = key;
    const TokenId id = read_token_id(reader);
    if (!reader.ok()) return;
    if (Status added = bpe_->add_token(token, id); !added) return reader.fail_with(std::move(added).error());
  }
  if (!reader.ok()) return;
  if (Status flushed = bpe_->flush(); !flushed) reader.fail_with(std::move(flushed).error());
}

// [["token", score], …] by id.
void JsonModel::read_unigram_vocab(JsonReader& reader) {
  constexpr const char* kExpected = "expected a token and its score";
  if (decoder_.byte_level)
    return reader.fail_here({ErrorCode::kUnsupported, "a unigram model behind ByteLevel"});
  unigram_.emplace(decoder_.spelling);
  if (Status reserved = reserve_controls(*unigram_); !reserved)
    return reader.fail_here(std::move(reserved).error());
  std::string token;
  reader.begin_array();
  while (reader.next_element()) {
    reader.begin_array();
    if (!reader.next_element()) return reader.fail_here(kExpected);
    token = reader.string();
    if (!reader.next_element()) return reader.fail_here(kExpected);
    const double score = reader.number();
    if (reader.next_element()) return reader.fail_here(kExpected);
    if (!reader.ok()) return;
    if (Status added = unigram_->add_token(token, score); !added)
      return reader.fail_here(std::move(added).error());
  }
}

void JsonModel::read_merges(JsonReader& reader) {
  has_merges_ = true;
  reader.begin_array();
  while (reader.next_element()) read_merge(reader);
  if (!reader.ok()) return;
  if (Status flushed = bpe_->flush(); !flushed) reader.fail_with(std::move(flushed).error());
}

// A pair, or in older files a string with a space between the two.
void JsonModel::read_merge(JsonReader& reader) {
  constexpr const char* kExpected = "expected a merge of two tokens";
  Status added;
  if (reader.peek() == JsonReader::Kind::kString) {
    const std::string_view pair = reader.string();
    if (pair.starts_with("#version")) return;
    const size_t space = pair.find(' ');
    if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos)
      return reader.fail_here(kExpected);
    added = bpe_->add_merge(pair.substr(0, space), pair.substr(space + 1));
  } else {
    reader.begin_array();
    std::string left;
    if (reader.next_element()) left = reader.string();
    if (!reader.next_element()) return reader.fail_here(kExpected);
    const std::string_view right = reader.string();
    if (!reader.ok()) return;
    added = bpe_->add_merge(left, right);
    if (reader.next_element()) return reader.fail_here(kExpected);
  }
  if (!added) reader.fail_with(std::move(added).error());
}

TokenId JsonModel::find(std::string_view token) const {
  return bpe_ ? bpe_->find(token) : unigram_->find(token);
}

std::optional<TokenId> JsonModel::find_named(std::string_view token) const {
  for (const AddedToken& added : added_)
    if (added.content == token) return added.id;
  const TokenId id = find(token);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::vector<TokenId> JsonModel::byte_tokens() const {
  std::vector<TokenId> tokens;
  if (!byte_fallback_) return tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(find(byte_token(static_cast<uint8_t>(byte))));
  return tokens;
}

Result<std::unique_ptr<PieceModel>> JsonModel::build() && {
  if (unigram_) {
    if (!unk_id_) return fail(ErrorCode::kUnsupported, "a unigram model without unk_id");
    return unigram_->build({.unk = *unk_id_, .byte_tokens = byte_tokens()});
  }
  if (unk_token_) {
    options_.unk = find_named(*unk_token_);
    if (!options_.unk)
      return fail(ErrorCode::kCorrupt, "the unknown token \"{}\" is not in the vocabulary", *unk_token_);
  }
  options_.byte_tokens = byte_tokens();
  return std::move(*bpe_).build(std::move(options_));
}

}  // namespace atelier
