#include "engine/session.h"

#include <algorithm>

namespace atelier {

Result<std::span<const float>> Session::prefill(std::span<const TokenId> prompt,
                                                const PrefillOptions& options) {
  if (prompt.empty())
    return fail(ErrorCode::kInvalidArgument, "prompt: expected at least one token, found none");
  if (prompt.size() > engine_->context_length())
    return fail(ErrorCode::kLimit, "prompt: expected at most {} tokens (the context), found {}",
                engine_->context_length(), prompt.size());
  lookahead_.settle(cache_, tokens_.size());
  const auto limit = std::min(tokens_.size(),
                              prompt.size() - 1);  // the last token is always computed: its logits are wanted
  size_t common = static_cast<size_t>(
      std::mismatch(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(limit), prompt.begin())
          .first -
      tokens_.begin());
  if (!cache_.can_truncate(common)) common = 0;
  if (common == 0) {
    cache_ = engine_->new_sequence();
  } else {
    cache_.truncate(common);
  }
  tokens_.resize(common);
  reused_ = common;
  computed_ = 0;
  const size_t total = prompt.size() - common;
  for (;;) {
    const size_t n = std::min(engine_->options().prefill_chunk, total - computed_);
    const std::span<const TokenId> chunk = prompt.subspan(common + computed_, n);
    const bool last = computed_ + n == total;
    const Engine::Item item{&cache_, chunk, last ? Engine::Logits::kLast : Engine::Logits::kNone};
    ATELIER_TRY(const MatView<const float> logits, engine_->evaluate({&item, 1}));
    tokens_.insert(tokens_.end(), chunk.begin(), chunk.end());
    computed_ += n;
    if (options.on_progress) options.on_progress(computed_, total);
    if (last) return logits.row(0);
    if (options.cancel != nullptr && options.cancel->load())
      return fail(ErrorCode::kInterrupted, "interrupted after {} of {} prompt tokens", computed_, total);
  }
}

Result<std::span<const float>> Session::append(TokenId token) {
  ATELIER_TRY(const std::span<const float> logits, lookahead_.append(cache_, tokens_, token));
  tokens_.push_back(token);
  return logits;
}

}  // namespace atelier
