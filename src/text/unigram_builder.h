// Collects a unigram vocabulary in the order in which a file tells it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/token_spelling.h"
#include "text/unigram.h"
#include "text/vocab.h"

namespace atelier {

class UnigramBuilder {
 public:
  explicit UnigramBuilder(TokenSpelling spelling) : spelling_(std::move(spelling)) {}

  // As in BpeBuilder.
  Status reserve_control(std::string_view content, TokenId id);
  // The next token; its id is how many there were before. Errors: kLimit.
  Status add_token(std::string_view text, double score);
  // Of several tokens of one text the last, as in Hugging Face tokenizers.
  TokenId find(std::string_view text) const { return ids_.find(text); }
  const TokenTexts& texts() const { return texts_; }
  TokenTexts take_texts() { return std::move(texts_); }
  size_t size() const { return tokens_.size(); }
  Result<std::unique_ptr<Unigram>> build(UnigramOptions options) const;

 private:
  struct Token {
    size_t offset;  // into bytes_
    size_t length;
    double score;
    bool in_text;
  };
  TokenSpelling spelling_;
  StringTable controls_;
  StringTable ids_;
  TokenTexts texts_;
  std::vector<Token> tokens_;
  std::string bytes_;
  std::string spelled_;  // scratch
};

}  // namespace atelier
