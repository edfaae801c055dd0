// From tokens back to text, as far as tokens of ordinary text and of added ones differ from what is written
// in the file.
#pragma once

#include "text/token_spelling.h"

namespace atelier {

struct TokenDecoder {
  bool byte_level = false;  // tokens are written in the byte alphabet; `spelling` does not apply
  TokenSpelling spelling;
  enum class Begin : uint8_t {
    kAsIs,
    kCutOneSpace,   // in front of the whole text
    kCutAllSpaces,  // in front of the first token
  };
  Begin begin = Begin::kAsIs;
};

}  // namespace atelier
