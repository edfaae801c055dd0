// Byte-pair encoding: over the bytes of a piece (GPT-2 and nearly everything since), or over its characters
// with bytes for those the vocabulary lacks (SentencePiece: Llama 2, Gemma).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/merges.h"
#include "text/piece_model.h"
#include "text/symbols.h"
#include "text/vocab.h"
#include "text/whole_characters.h"

namespace atelier {

enum class BpeSymbols : uint8_t { kBytes, kCharacters };

struct BpeOptions {
  bool ignore_merges = false;       // a piece that is a token is that token, whatever merging would give
  std::optional<TokenId> unk = {};  // for what the vocabulary lacks; it vanishes where there is none
  bool fuse_unk = false;            // one for a run of them
  // The tokens "<0x00>" … "<0xFF>", for characters that are no token; kNoToken where one is missing. A
  // character is spelled in them only if it has all of its bytes. Empty: no byte fallback.
  std::vector<TokenId> byte_tokens = {};
};

class Bpe final : public PieceModel {
 public:
  void encode(std::span<const std::string_view> pieces, PieceCache& cache,
              std::vector<TokenId>& ids) const override;
  TokenId find(std::string_view bytes) const override { return pieces_.find(bytes); }

 private:
  friend class BpeBuilder;
  struct Parts {
    BpeSymbols symbols = BpeSymbols::kBytes;
    StringTable pieces;
    MergeTable merges;
    WholeCharacters whole_characters;  // kBytes only; not yet finished
    CharMap characters;                // kCharacters only
    JoinablePairs joinable;            // the same
    bool cuts_pieces = false;  // whether pieces may be cut where `joinable` says that no merge reaches across
  };
  Bpe(BpeOptions options, Parts parts);

  // Whether merging a token's own text gives that token. Found out when first asked: a memo, filled in by
  // whichever thread comes first, with the same result each time.
  enum WholeState : uint8_t { kUntested, kWhole, kParts };
  WholeState whole_state(TokenId token) const {
    if (whole_ == nullptr) return kWhole;
    return static_cast<WholeState>(whole_[static_cast<size_t>(token)].load(std::memory_order_relaxed));
  }

  struct Batch;
  void encode_cut(std::string_view piece, PieceCache& cache, std::vector<TokenId>& ids) const;
  void encode_batch(std::span<const std::string_view> pieces, PieceCache& cache,
                    std::vector<TokenId>& ids) const;
  void look_up(size_t piece, Batch& batch, PieceCache& cache) const;
  void append(size_t piece, Batch& batch, PieceCache& cache, std::vector<TokenId>& ids) const;
  void merge_long(std::string_view piece, std::vector<TokenId>& ids) const;

  // push(id, rank of the pair with the symbol before) for each symbol of a piece; no rank for the first.
  template <class Push>
  void for_each_symbol(std::string_view piece, Push&& push) const;
  template <class Push>
  void for_each_byte(std::string_view piece, Push&& push) const;
  template <class Push>
  void for_each_character(std::string_view piece, Push&& push) const;

  BpeOptions options_;
  BpeSymbols symbols_;
  StringTable pieces_;
  MergeTable merges_;
  CharMap characters_;
  JoinablePairs joinable_;
  bool cuts_pieces_;
  WholeCharacters whole_characters_;               // kBytes only
  std::array<TokenId, 256> byte_ids_{};            // the same
  std::vector<MergeTable::Rank> byte_pair_ranks_;  // the same; [first * 256 + second]
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;  // by id; null with ignore_merges
};

}  // namespace atelier
