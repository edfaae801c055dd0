#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace atelier {
namespace {

// ln Σ exp(logit).
double log_sum_exp(std::span<const float> logits) {
  const double best = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  return best + std::log(sum);
}

double negative_log_likelihood(std::span<const float> logits, TokenId token) {
  return log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(token)]);
}

double kl_divergence(std::span<const float> reference, std::span<const float> logits) {
  const double reference_sum = log_sum_exp(reference), sum = log_sum_exp(logits);
  double kl = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_sum;
    kl += std::exp(log_p) * (log_p - (static_cast<double>(logits[i]) - sum));
  }
  return kl;
}

void compare(std::span<const float> reference, std::span<const float> logits, Divergence& total) {
  const double kl = kl_divergence(reference, logits);
  total.mean_kl += kl;
  total.max_kl = std::max(total.max_kl, kl);
  total.top1 += std::ranges::max_element(reference) - reference.begin() ==
                std::ranges::max_element(logits) - logits.begin();
}

}  // namespace

Result<Perplexity> measure_perplexity(Engine& engine, std::span<const TokenId> tokens,
                                      const PerplexityOptions& options) {
  const size_t window = std::min(options.context, tokens.size());
  if (window < 2)
    return fail(ErrorCode::kInvalidArgument, "perplexity: expected a text of at least 2 tokens, found {}",
                tokens.size());
  const Tokenizer& tokenizer = engine.tokenizer();
  const size_t n_windows = tokens.size() / window, first_scored = window / 2;
  Perplexity result;
  Divergence divergence;
  double sum = 0;
  for (size_t w = 0; w < n_windows; ++w) {
    std::vector<TokenId> ids(tokens.begin() + static_cast<std::ptrdiff_t>(w * window),
                             tokens.begin() + static_cast<std::ptrdiff_t>((w + 1) * window));
    if (tokenizer.add_bos() && tokenizer.bos()) ids[0] = *tokenizer.bos();
    KvSequence sequence = engine.new_sequence();
    std::optional<KvSequence> reference_sequence;
    if (options.reference != nullptr) reference_sequence.emplace(options.reference->new_sequence());
    // Chunks bound the memory for logits: a chunk of 512 rows over a vocabulary of 200k is 400 MB.
    const size_t chunk = std::min<size_t>(engine.options().prefill_chunk, 256);
    for (size_t first = 0; first < window; first += chunk) {
      const size_t n = std::min(chunk, window - first);
      const bool scored = first + n > first_scored;
      const Engine::Item item{&sequence, std::span<const TokenId>(ids).subspan(first, n),
                              scored ? Engine::Logits::kAll : Engine::Logits::kNone};
      ATELIER_TRY(const MatView<const float> logits, engine.evaluate({&item, 1}));
      MatView<const float> expected;
      if (reference_sequence) {
        const Engine::Item same{&*reference_sequence, item.tokens, item.logits};
        ATELIER_TRY(expected, options.reference->evaluate({&same, 1}));
      }
      for (size_t row = 0; scored && row < n; ++row) {
        const size_t position = first + row;
        if (position < first_scored || position + 1 >= window) continue;
        sum += negative_log_likelihood(logits.row(row), ids[position + 1]);
        if (reference_sequence) compare(expected.row(row), logits.row(row), divergence);
        ++result.tokens;
      }
      if (options.cancel != nullptr && options.cancel->load())
        return fail(ErrorCode::kInterrupted, "interrupted");
    }
    if (options.on_window) options.on_window(w + 1, n_windows);
  }
  if (result.tokens == 0)
    return fail(ErrorCode::kInvalidArgument, "perplexity: expected windows of at least 3 tokens, found {}",
                window);
  result.nll = sum / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.nll);
  if (options.reference != nullptr) {
    const auto n = static_cast<double>(result.tokens);
    result.divergence = {divergence.mean_kl / n, divergence.max_kl, divergence.top1 / n};
  }
  return result;
}

}  // namespace atelier
