#include "engine/repetition.h"

#include <algorithm>

namespace atelier {

// The Z function of the reversed sequence: lengths_[d] is how many tokens the sequence and the sequence
// without its last d tokens have in common at their ends.
void RepetitionFinder::find(std::span<const TokenId> tokens, size_t max_length,
                            std::vector<Continuation>& out) {
  out.clear();
  const size_t n = tokens.size();
  if (n < 2 || max_length == 0) return;
  lengths_.assign(n, 0);
  const auto from_end = [&](size_t d) { return tokens[n - 1 - d]; };
  size_t begin = 0;  // the stretch found so far that reaches furthest back
  size_t end = 0;
  for (size_t d = 1; d < n; ++d) {
    size_t length = d < end ? std::min(end - d, lengths_[d - begin]) : 0;
    while (d + length < n && from_end(length) == from_end(d + length)) ++length;
    lengths_[d] = length;
    if (d + length > end) {
      begin = d;
      end = d + length;
    }
  }
  for (size_t d = n - 1; d > 0; --d)
    if (lengths_[d] > 0) out.push_back({from_end(d - 1), std::min(lengths_[d], max_length)});
}

size_t tokens_behind_breaker(std::span<const TokenId> tokens, std::span<const std::string> breakers,
                             const Tokenizer& tokenizer) {
  size_t longest = 0;
  for (const std::string& breaker : breakers) longest = std::max(longest, breaker.size());
  if (longest == 0) return tokens.size();
  std::string text;  // of the token looked at, and what of the ones behind it a breaker can reach
  for (size_t i = tokens.size(); i > 0; --i) {
    const std::string_view own = tokenizer.token_bytes(tokens[i - 1]);
    text.insert(0, own);
    text.resize(std::min(text.size(), own.size() + longest - 1));
    size_t behind = std::string::npos;  // the byte behind the last breaker that begins in this token
    size_t last = 0;
    for (const std::string& breaker : breakers) {
      if (breaker.empty() || own.empty()) continue;
      const size_t at = text.rfind(breaker, own.size() - 1);
      if (at == std::string::npos || (behind != std::string::npos && at < last)) continue;
      behind = behind == std::string::npos || at > last ? at + breaker.size()
                                                        : std::max(behind, at + breaker.size());
      last = at;
    }
    if (behind == std::string::npos) continue;
    size_t covered = own.size();
    size_t token = i;  // the first one that no byte of the breaker is in
    while (covered < behind) covered += tokenizer.token_bytes(tokens[token++]).size();
    return tokens.size() - token;
  }
  return tokens.size();
}

}  // namespace atelier
