// Collects a byte-pair vocabulary in the order in which a file tells it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe.h"
#include "text/token_spelling.h"
#include "text/vocab.h"

namespace atelier {

class BpeBuilder {
 public:
  // With kBytes tokens are written in the byte alphabet (text/byte_alphabet.h); those with other characters
  // stand for their UTF-8 bytes and are never found in text, as with the publishers' tokenizers. With
  // kCharacters they are written as they are. `spelling` says what a token of ordinary text stands for when
  // decoded (kBytes: not asked).
  BpeBuilder(BpeSymbols symbols, TokenSpelling spelling, size_t expected_tokens);

  // Declares a control token before the vocabulary is entered: no ordinary text turns into it, even if the
  // vocabulary lists it as well.
  Status reserve_control(std::string_view content, TokenId id);

  // Errors, here or from a later call: kLimit (id out of range, see kMaxTokenId), kCorrupt (one id for two
  // tokens).
  Status add_token(std::string_view text, TokenId id);
  // After all tokens, in order of rank. Errors, here or from a later call: kCorrupt (a part or the result is
  // no token).
  Status add_merge(std::string_view left, std::string_view right);
  // Instead of add_merge(), for kCharacters: every way to cut a token in two tokens merges into it, those of
  // higher score first, as SentencePiece has it. `tokens` by id, as they were added.
  Status add_merges_by_score(std::span<const std::string_view> tokens, std::span<const float> scores);
  // Enters what has been added: the look-ups of several tokens and merges wait for memory together.
  Status flush();

  // The id of a token by its text as the file spells it. After flush().
  TokenId find(std::string_view text) const;
  const TokenTexts& texts() const { return texts_; }
  TokenTexts take_texts() { return std::move(texts_); }
  Result<std::unique_ptr<Bpe>> build(BpeOptions options) &&;

 private:
  static constexpr size_t kPending = 32;
  struct Pending {
    size_t offset;  // into pending_bytes_
    size_t length;  // of the token, or of both parts of the merge
    size_t left;    // of the merge's left part
    TokenId id;     // of the token; the index of the merge
    StringTable::Probe probe;
    StringTable::Probe left_probe;
    StringTable::Probe right_probe;
  };

  bool append_bytes(std::string_view text);
  std::string_view pending_bytes(const Pending& p) const {
    return std::string_view(pending_bytes_).substr(p.offset, p.length);
  }
  Status set_text(std::string_view text, TokenId id, TokenId before);
  Status flush_tokens();
  Status flush_merges();
  Status add_outside_merge(std::string_view left, std::string_view right, size_t index);
  Status add_cuts(std::string_view token, TokenId id);
  std::string spelled(std::string_view bytes) const;
  void note_joint(std::string_view left, std::string_view right, TokenId left_id, TokenId right_id);
  void find_cuts(Bpe::Parts& parts, const BpeOptions& options);

  BpeSymbols symbols_;
  TokenSpelling spelling_;
  StringTable controls_;
  StringTable pieces_;   // by bytes
  StringTable outside_;  // by text: control tokens and those that are not in the byte alphabet
  TokenTexts texts_;
  MergeTable merges_;
  size_t n_merges_ = 0;
  WholeCharacters whole_characters_;  // kBytes
  struct Joint {
    char32_t left;
    char32_t right;
  };
  std::vector<Joint> joints_;  // kCharacters: the characters that meet in each merge
  std::vector<bool> merged_;   // kCharacters: by id, whether a merge has it as a part

  std::array<Pending, kPending> pending_;
  size_t n_tokens_pending_ = 0;
  size_t n_merges_pending_ = 0;
  std::string pending_bytes_;
  std::string bytes_;  // scratch
};

}  // namespace atelier
