// Unigram language model (SentencePiece's default; T5, XLM-R): of all ways to spell a piece in tokens, the
// one whose scores add up highest.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/byte_trie.h"
#include "text/piece_model.h"
#include "text/vocab.h"

namespace atelier {

// What a character of text costs grows with the longest token; real ones have some ten bytes.
inline constexpr size_t kMaxUnigramTokenBytes = 1024;

struct UnigramToken {
  std::string_view text;
  double score = 0;
  bool in_text = true;  // false: a control token, which no ordinary text turns into
};

struct UnigramOptions {
  TokenId unk = kNoToken;
  std::vector<TokenId> byte_tokens = {};  // as in BpeOptions; empty: no byte fallback
};

class Unigram final : public PieceModel {
 public:
  // `tokens` by id; those with empty text are never found. Errors: kCorrupt (a score that is no number, `unk`
  // outside the vocabulary), kLimit (a token of more than kMaxUnigramTokenBytes).
  static Result<std::unique_ptr<Unigram>> create(std::span<const UnigramToken> tokens,
                                                 UnigramOptions options);

  void encode(std::span<const std::string_view> pieces, PieceCache& cache,
              std::vector<TokenId>& ids) const override;
  TokenId find(std::string_view bytes) const override { return pieces_.find(bytes); }

 private:
  struct Node;
  struct Scratch;
  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const;
  void find_best(std::string_view piece, std::vector<Node>& nodes) const;
  void append_unknown(std::string_view text, std::vector<TokenId>& ids) const;

  UnigramOptions options_;
  StringTable pieces_;
  ByteTrie trie_;
  std::vector<double> scores_;  // by id
  double unk_score_ = 0;
};

}  // namespace atelier
