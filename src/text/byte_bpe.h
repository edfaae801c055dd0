// Byte-level byte-pair encoding: GPT-2 and nearly everything since.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/merges.h"
#include "text/piece_model.h"
#include "text/vocab.h"

namespace atelier {

struct ByteBpeOptions {
  bool ignore_merges = false;       // a piece that is a token is that token, whatever merging would give
  std::optional<TokenId> unk = {};  // for bytes the vocabulary lacks; they vanish where there is none
  bool fuse_unk = false;            // one for a run of them
};

class ByteBpe final : public PieceModel {
 public:
  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  TokenId find(std::string_view bytes) const override { return pieces_.find(bytes); }

 private:
  friend class ByteBpeBuilder;
  // Whether merging a token's own bytes gives that token. Found out when first asked: a memo, filled in by
  // whichever thread comes first, with the same result each time.
  enum WholeState : uint8_t { kUntested, kWhole, kParts };

  ByteBpe(const ByteBpeOptions& options, StringTable pieces, MergeTable merges);
  void merge(std::string_view piece, std::vector<TokenId>& ids) const;

  ByteBpeOptions options_;
  StringTable pieces_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<MergeTable::Rank> byte_pair_ranks_;  // [first * 256 + second]
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;  // by id; null with ignore_merges
};

// Collects a vocabulary in the order in which a file tells it.
class ByteBpeBuilder {
 public:
  // `expected_tokens` sizes the tables; `controls` are the contents that no ordinary text may turn into: they
  // get their id and text, and nothing encodes to them.
  ByteBpeBuilder(size_t expected_tokens, std::set<std::string, std::less<>> controls);

  // `text` in the byte alphabet; a token with other characters stands for its UTF-8 bytes and is never found
  // in text, as with the publishers' tokenizers. Errors: kLimit (id out of range, see kMaxTokenId), kCorrupt.
  Status add_token(std::string_view text, TokenId id);
  // After all tokens, in order of rank. Errors: kCorrupt (a part or the result is no token).
  Status add_merge(std::string_view left, std::string_view right);

  // The id of a token by its text as the file spells it.
  TokenId find(std::string_view text) const;
  // Enters the texts of all tokens. Errors: kCorrupt (one id for two tokens).
  Status fill(TokenTexts& texts) const;
  Result<std::unique_ptr<ByteBpe>> build(const ByteBpeOptions& options) &&;

 private:
  TokenId find_spelled(std::string_view text, std::string& bytes, bool& outside) const;

  std::set<std::string, std::less<>> controls_;
  StringTable pieces_;   // by bytes
  StringTable outside_;  // by text: control tokens and those that are not in the byte alphabet
  MergeTable merges_;
  size_t n_merges_ = 0;
  std::string left_;  // scratch
  std::string right_;
};

}  // namespace atelier
