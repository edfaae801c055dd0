// How the end of a sequence repeats what came before: what the DRY sampler punishes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace atelier {

// A token that would make a repetition longer: it follows an earlier occurrence of the last `length` tokens.
struct Continuation {
  TokenId token;
  size_t length;
};

// For each place behind which the end of `tokens` is repeated, the token that follows there and the length of
// the repetition, at least 1 and at most `max_length`. Linear in tokens.size(). `out` is replaced, in the
// order of the text; a token may come up several times.
class RepetitionFinder {
 public:
  void find(std::span<const TokenId> tokens, size_t max_length, std::vector<Continuation>& out);

 private:
  std::vector<size_t> lengths_;  // by distance from the end: how far both run back alike
};

// How many tokens come behind the last place where one of `breakers` is written: repetitions do not reach
// over it. A breaker may begin and end in the middle of a token or span several; all tokens if there is none.
size_t tokens_behind_breaker(std::span<const TokenId> tokens, std::span<const std::string> breakers,
                             const Tokenizer& tokenizer);

}  // namespace atelier
