// What decides, token by token, which tokens may come next: a grammar, a chat format's headers, a stop
// string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "text/tokenizer.h"

namespace atelier {

// One bit per id of the vocabulary: id i is bit i % 64 of word i / 64.
inline constexpr size_t token_mask_words(size_t vocab_size) { return (vocab_size + 63) / 64; }

// Follows one generation. Calls come one at a time, in the order allowed, accept, allowed, accept, …, from
// any of the scheduler's threads. Different filters, clones included, are called at the same time: what they
// share has to be safe for that.
class TokenFilter {
 public:
  virtual ~TokenFilter() = default;

  // Which tokens may come next. Either returns false, `mask` untouched: any may. Or returns true and has
  // written every word of `mask`, [token_mask_words(vocab_size)], bits past the vocabulary zero; stop tokens
  // are in it where the generation may end. A mask without any bit, or an error, fails the request.
  virtual Result<bool> allowed(std::span<uint64_t> mask) = 0;

  // `token` was drawn; it is in the last mask, and no stop token. Returning false ends the generation after
  // this token as if it were a stop token (a stop string was completed, the grammar has nothing to add).
  virtual bool accept(TokenId token) = 0;

  // A filter in the same state that goes on by itself, for the other choices of a request with n > 1.
  virtual std::unique_ptr<TokenFilter> clone() const = 0;
};

}  // namespace atelier
