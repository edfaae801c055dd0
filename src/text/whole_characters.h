// Which characters of a text merge into one token before anything else can happen to their bytes. In a
// byte-level vocabulary a word of a script beyond ASCII spends half of its merges and more on that; where it
// is certain, merging starts from the character.
//
// A character made by merges of rank ≤ r is certain where (1) every merge of its neighbours with a part of it
// has a rank above r, so that its bytes are still there when their turn comes, and (2) every merge of the
// whole character has a rank above r too, so that it comes to nothing that it exists before its time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/merges.h"
#include "text/symbols.h"
#include "text/vocab.h"

namespace atelier {

class WholeCharacters {
 public:
  using Rank = MergeTable::Rank;
  WholeCharacters();

  // Every merge, by the bytes of its parts.
  void note_merge(std::string_view left, std::string_view right, TokenId left_id, TokenId right_id,
                  Rank rank);
  // Afterwards: tries all characters that are tokens. `byte_ids`: by byte.
  void finish(const StringTable& pieces, const MergeTable& merges, std::span<const TokenId, 256> byte_ids);

  static constexpr int kNone = -1;  // no byte: the piece begins or ends there
  // The token of a character that is certain between the bytes `before` and `behind` it, or kNoToken.
  // `first` and `last` are its own outer bytes.
  TokenId find(char32_t character, int before, uint8_t first, uint8_t last, int behind) const {
    const TokenId id = ids_[character];
    if (id == kNoToken) return kNoToken;
    const auto rank = static_cast<Rank>(ranks_[character]);
    if (before != kNone && joins_front_[index(before, first)] <= rank) return kNoToken;
    if (behind != kNone && joins_back_[index(last, behind)] <= rank) return kNoToken;
    return id;
  }

 private:
  static size_t index(int left, int right) {
    return static_cast<size_t>(left) << 8 | static_cast<size_t>(right);
  }
  void note_use(std::string_view part, TokenId id, Rank rank);
  Rank first_use(TokenId id) const;

  CharMap ids_;
  CharMap ranks_;                  // the highest that making the character takes
  std::vector<Rank> joins_front_;  // [byte before][first byte]: lowest of merges with an unfinished character
  std::vector<Rank> joins_back_;   // [last byte][byte behind]: lowest of merges with a character's end
  std::vector<Rank> first_uses_;   // by id, of characters; only until finish()
};

}  // namespace atelier
