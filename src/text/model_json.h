// The "model" of a tokenizer.json: byte-pair encoding or unigram.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/json_reader.h"
#include "text/added_tokens.h"
#include "text/bpe_builder.h"
#include "text/token_decoder.h"
#include "text/unigram_builder.h"

namespace atelier {

class JsonModel {
 public:
  // `text`: the whole file. The other arguments are what its other sections say.
  JsonModel(std::string_view text, const TokenDecoder& decoder, std::span<const AddedToken> added)
      : text_(text), decoder_(decoder), added_(added) {}

  // Reads the value of "model". Errors stay in `reader`.
  void read(JsonReader& reader);

  // After read(): the id of a token by its text as the file spells it.
  TokenId find(std::string_view token) const;
  // As find(), but added tokens first.
  std::optional<TokenId> find_named(std::string_view token) const;
  const TokenTexts& texts() const { return bpe_ ? bpe_->texts() : unigram_->texts(); }
  TokenTexts take_texts() { return bpe_ ? bpe_->take_texts() : unigram_->take_texts(); }
  Result<std::unique_ptr<PieceModel>> build() &&;

 private:
  void read_option(std::string_view key, JsonReader& reader);
  void read_vocab(JsonReader& reader);
  void read_bpe_vocab(JsonReader& reader);
  void read_unigram_vocab(JsonReader& reader);
  void read_merges(JsonReader& reader);
  void read_merge(JsonReader& reader);
  void read_later(std::optional<size_t> at, void (JsonModel::*read)(JsonReader&), JsonReader& reader);
  template <class Builder>
  Status reserve_controls(Builder& builder) const;
  std::vector<TokenId> byte_tokens() const;

  std::string_view text_;
  const TokenDecoder& decoder_;
  std::span<const AddedToken> added_;

  enum class Type { kUnknown, kBpe, kUnigram };
  Type type_ = Type::kUnknown;
  bool byte_fallback_ = false;
  BpeOptions options_;
  std::optional<std::string> unk_token_;
  std::optional<TokenId> unk_id_;
  std::optional<BpeBuilder> bpe_;
  std::optional<UnigramBuilder> unigram_;
  bool has_merges_ = false;
};

// A token id, or an error in `reader`.
TokenId read_token_id(JsonReader& reader);

}  // namespace atelier
