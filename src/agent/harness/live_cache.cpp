#include "agent/harness/live_cache.h"

#include <algorithm>

#include "agent/harness/clock.h"

namespace atelier::agent {
namespace {

// Fewer tokens than this are computed as fast as they are read.
constexpr size_t kWorthReading = 64;

// How much of `kept` the prompt goes on from.
size_t usable(const std::vector<TokenId>& kept, const KvSequence& cache, std::span<const TokenId> prompt) {
  const size_t limit = std::min(kept.size(), prompt.size());
  const auto end = kept.begin() + static_cast<std::ptrdiff_t>(limit);
  const auto common =
      static_cast<size_t>(std::mismatch(kept.begin(), end, prompt.begin()).first - kept.begin());
  return cache.can_truncate(common) ? common : 0;
}

}  // namespace

void LiveCache::go_back_for(std::span<const TokenId> prompt) {
  size_t best = usable(tokens_, cache_, prompt);
  const Checkpoint* from = nullptr;
  for (const Checkpoint& checkpoint : checkpoints_) {
    const size_t here = usable(checkpoint.tokens, checkpoint.cache, prompt);
    if (here > best) best = here, from = &checkpoint;
  }
  if (from != nullptr) cache_ = from->cache.fork();
  if (store_ != nullptr && prompt.size() > best + kWorthReading)
    if (std::optional<KvStore::Found> found = store_->load(prompt, best + kWorthReading)) {
      cache_ = std::move(found->sequence);
      best = found->length;
    }
  if (best == 0) {
    cache_ = engine_->new_sequence();
  } else {
    cache_.truncate(best);
  }
  const auto kept = prompt.first(best);
  tokens_.assign(kept.begin(), kept.end());
  reused_ = best;
}

Result<std::span<const float>> LiveCache::evaluate(std::span<const TokenId> tokens, Engine::Logits logits,
                                                   const std::atomic<bool>* cancel) {
  const Engine::Item item{&cache_, tokens, logits};
  const auto abandon = [cancel](PassPart) {
    if (cancel->load()) throw PassAbandoned();
  };
  for (;;) {
    const Clock::time_point start = Clock::now();
    const auto out = engine_->evaluate({&item, 1}, cancel == nullptr ? Interlude() : abandon);
    engine_seconds_ += seconds_since(start);
    if (out) {
      tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
      return logits == Engine::Logits::kNone ? std::span<const float>() : out->row(0);
    }
    // Checkpoints are a convenience; memory they hold is given up before anything fails.
    if (out.error().code != ErrorCode::kOutOfMemory || checkpoints_.empty())
      return tl::unexpected<Error>(out.error());
    checkpoints_.pop_back();
  }
}

Result<std::span<const float>> LiveCache::run(std::span<const TokenId> prompt, const PrefillOptions& options,
                                              Engine::Logits logits) {
  if (prompt.empty())
    return fail(ErrorCode::kInvalidArgument, "prompt: expected at least one token, found none");
  if (prompt.size() > engine_->context_length())
    return fail(ErrorCode::kLimit, "prompt: expected at most {} tokens (the context), found {}",
                engine_->context_length(), prompt.size());
  // A token whose logits are wanted is computed in any case.
  go_back_for(logits == Engine::Logits::kNone ? prompt : prompt.first(prompt.size() - 1));
  computed_ = 0;
  const size_t total = prompt.size() - reused_;
  std::span<const float> out;
  while (computed_ < total) {
    const size_t n = std::min(engine_->options().prefill_chunk, total - computed_);
    const bool last = computed_ + n == total;
    ATELIER_TRY(out, evaluate(prompt.subspan(reused_ + computed_, n), last ? logits : Engine::Logits::kNone,
                              options.cancel));
    computed_ += n;
    if (options.on_progress) options.on_progress(computed_, total);
    if (!last && options.cancel != nullptr && options.cancel->load())
      return fail(ErrorCode::kInterrupted, "interrupted after {} of {} prompt tokens", computed_, total);
  }
  return out;
}

Result<std::span<const float>> LiveCache::prefill(std::span<const TokenId> prompt,
                                                  const PrefillOptions& options) {
  return run(prompt, options, Engine::Logits::kLast);
}

Status LiveCache::compute(std::span<const TokenId> prompt, const PrefillOptions& options) {
  return run(prompt, options, Engine::Logits::kNone).map([](const auto&) {});
}

Result<std::span<const float>> LiveCache::append(std::span<const TokenId> tokens) {
  return evaluate(tokens, Engine::Logits::kLast);
}

void LiveCache::keep() {
  const bool kept =
      std::ranges::any_of(checkpoints_, [&](const Checkpoint& c) { return c.tokens == tokens_; });
  if (kept || tokens_.empty()) return;
  if (checkpoints_.size() >= max_checkpoints_ && max_checkpoints_ > 1)
    checkpoints_.erase(checkpoints_.begin() + 1);
  checkpoints_.push_back({tokens_, cache_.fork()});
}

void LiveCache::save() {
  if (store_ == nullptr || tokens_.empty()) return;
  if (!checkpoints_.empty() && checkpoints_.back().tokens != tokens_)
    store_->save(checkpoints_.back().cache, checkpoints_.back().tokens);
  store_->save(cache_, tokens_);
}

}  // namespace atelier::agent
