#include "engine/lookahead.h"

#include <algorithm>
#include <chrono>

namespace atelier {

void Lookahead::settle(KvSequence& cache, size_t n_tokens) {
  if (cache.length() > n_tokens) cache.truncate(n_tokens);
  pass_.clear();
  used_ = 0;
}

// Makes the drafter know exactly `tokens`.
void Lookahead::catch_up(std::span<const TokenId> tokens) {
  size_t common = std::min(tokens.size(), drafter_.size());
  for (size_t i = 0; i < common; ++i)
    if (drafter_.token(i) != tokens[i]) common = i;
  drafter_.truncate(common);
  if (tokens.size() > common) drafter_.read(tokens.subspan(common));
}

Result<std::span<const float>> Lookahead::append(KvSequence& cache, std::span<const TokenId> tokens,
                                                 TokenId token) {
  const bool follows = used_ > 0 && drafter_.size() == tokens.size();
  if (!follows) catch_up(tokens);
  if (follows && used_ < pass_.size() && pass_[used_] == token && stamp_ == engine_->n_passes()) {
    drafter_.append(token);
    ++counts_.tokens;
    ++counts_.accepted;
    return rows_.row(used_++);
  }
  settle(cache, tokens.size());
  return evaluate(cache, tokens.size(), token);
}

Result<std::span<const float>> Lookahead::evaluate(KvSequence& cache, size_t n_tokens, TokenId token) {
  drafter_.append(token);
  pass_.assign(1, token);
  const size_t left = engine_->context_length() - std::min(engine_->context_length(), n_tokens + 1);
  const Drafter* const drafters[] = {&drafter_};
  const size_t n_guessed = plan_drafts(drafters, std::span(&left, 1), cost_, engine_->options().drafts)[0];
  const std::span<const TokenId> guess = drafter_.guess(n_guessed);
  // Memory that is short is no reason to fail where the token alone fits.
  if (!guess.empty() && cache.reserve(1 + guess.size()))
    pass_.insert(pass_.end(), guess.begin(), guess.end());
  const auto begin = std::chrono::steady_clock::now();
  const Engine::Item item{&cache, pass_, Engine::Logits::kAll};
  auto rows = engine_->evaluate({&item, 1});
  if (!rows) {
    drafter_.truncate(n_tokens);
    pass_.clear();
    used_ = 0;
    return tl::unexpected<Error>(std::move(rows).error());
  }
  cost_.passed(pass_.size(), std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  rows_ = *rows;
  used_ = 1;
  stamp_ = engine_->n_passes();
  ++counts_.tokens;
  ++counts_.passes;
  counts_.drafted += pass_.size() - 1;
  return rows_.row(0);
}

}  // namespace atelier
