// What turns one piece of text (a word, a run of spaces) into tokens.
#pragma once

#include <string_view>
#include <vector>

#include "text/vocab.h"

namespace atelier {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the ids of `piece`, which is not empty. Safe to call from several threads.
  virtual void encode(std::string_view piece, std::vector<TokenId>& ids) const = 0;
  // The token that stands for exactly these bytes, or kNoToken.
  virtual TokenId find(std::string_view bytes) const = 0;
};

}  // namespace atelier
