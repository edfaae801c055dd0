// The tokenizer every file ends up as: added tokens are cut out of the text, the rest is normalised, split
// into pieces, and a model encodes each piece.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/piece_model.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

namespace atelier {

// What a tokenizer file says apart from its vocabulary.
struct PipelineOptions {
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  TokenDecoder decoder;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  bool add_bos = false;
};

class TokenizerPipeline final : public Tokenizer {
 public:
  // `texts` holds the model's tokens; the added ones, which passed check_added_token, are entered here.
  // Errors: those of AddedTokenMatcher, and kCorrupt for a BOS or EOS that is no token.
  static Result<std::shared_ptr<const Tokenizer>> create(PipelineOptions options, TokenTexts texts,
                                                         std::unique_ptr<PieceModel> model);

  using Tokenizer::encode;
  void encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const override;
  Status try_encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const override;
  std::string_view token_bytes(TokenId id) const override { return texts_[id]; }
  size_t bytes_before_text(TokenId first) const override;
  bool is_special(TokenId id) const override;
  std::optional<TokenId> find_token(std::string_view text) const override;
  size_t vocab_size() const override { return texts_.size(); }
  std::optional<TokenId> bos() const override { return options_.bos; }
  std::optional<TokenId> eos() const override { return options_.eos; }
  bool add_bos() const override { return options_.add_bos; }

 private:
  // Added tokens that are looked for in the text as it comes, and those looked for in what these leave, once
  // that is normalised.
  using Matchers = std::array<AddedTokenMatcher, 2>;
  static Result<Matchers> make_matchers(const PipelineOptions& options, Specials specials);

  enum class OnLimit { kFail, kLeaveUnsplit };
  struct Encoding;
  Status encode_all(std::string_view text, Specials specials, OnLimit on_limit,
                    std::vector<TokenId>& ids) const;
  Status encode_normalised(std::string_view text, bool first, const Encoding& encoding) const;
  Status encode_plain(std::string_view text, bool first, const Encoding& encoding) const;

  PipelineOptions options_;
  TokenTexts texts_;
  std::unique_ptr<PieceModel> model_;
  Matchers all_;
  Matchers as_text_;  // those that are recognised even in text nobody trusts
  std::vector<bool> special_;
};

}  // namespace atelier
