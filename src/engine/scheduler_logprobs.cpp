#include "engine/scheduler_logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace atelier {

TokenLogprobs token_logprobs(std::span<const float> logits, TokenId token, size_t k) {
  const double best = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  const double log_total = best + std::log(sum);
  const auto entry = [&](TokenId id) {
    return TokenLogprob{id,
                        static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_total)};
  };
  TokenLogprobs out{entry(token), {}};
  std::vector<TokenId> ids(k == 0 ? 0 : logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(k, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), [&](TokenId a, TokenId b) {
    const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  });
  for (auto id = ids.begin(); id != end; ++id) out.top.push_back(entry(*id));
  return out;
}

}  // namespace atelier
