#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace atelier {
namespace {

constexpr double kMaxDryPenalty = 1e6;  // far below any logit, and far from where floats end

// splitmix64 (Steele, Lea, Flood 2014): a bijection that scatters consecutive inputs over all 64 bits.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Uniform in [0, 1), a function of seed and step alone.
double uniform(uint64_t seed, uint64_t step) {
  return static_cast<double>(mix(mix(seed) ^ step) >> 11) * 0x1.0p-53;
}

// The same for another decision of the same step.
double uniform_for_xtc(uint64_t seed, uint64_t step) {
  constexpr uint64_t kAnother = 0xd1b54a32d192ed03;  // 2^64 divided by the square of the plastic number
  return uniform(seed ^ kAnother, step);
}

bool penalises(const SamplerOptions& options) {
  return options.repetition_penalty != 1.0f || options.presence_penalty != 0.0f ||
         options.frequency_penalty != 0.0f;
}

std::span<const TokenId> last_of(std::span<const TokenId> tokens, size_t window) {
  return tokens.last(std::min(window, tokens.size()));
}

Status in_range(std::string_view name, float value, float low, float high) {
  if (value >= low && value <= high) return {};
  return fail(ErrorCode::kInvalidArgument, "{}: expected a number from {} to {}, found {}", name, low, high,
              value);
}

}  // namespace

Status check_sampler_options(const SamplerOptions& o) {
  ATELIER_CHECK_OK(in_range("temperature", o.temperature, 0, 100));
  ATELIER_CHECK_OK(in_range("top_p", o.top_p, 0, 1));
  ATELIER_CHECK_OK(in_range("min_p", o.min_p, 0, 1));
  ATELIER_CHECK_OK(in_range("typical_p", o.typical_p, 0, 1));
  ATELIER_CHECK_OK(in_range("repetition_penalty", o.repetition_penalty, 0.01f, 100));
  ATELIER_CHECK_OK(in_range("presence_penalty", o.presence_penalty, -100, 100));
  ATELIER_CHECK_OK(in_range("frequency_penalty", o.frequency_penalty, -100, 100));
  ATELIER_CHECK_OK(in_range("dry_multiplier", o.dry_multiplier, 0, 100));
  ATELIER_CHECK_OK(in_range("dry_base", o.dry_base, 1, 100));
  ATELIER_CHECK_OK(in_range("xtc_probability", o.xtc_probability, 0, 1));
  ATELIER_CHECK_OK(in_range("xtc_threshold", o.xtc_threshold, 0, 1));
  ATELIER_CHECK_OK(in_range("mirostat_tau", o.mirostat_tau, 0, 100));
  ATELIER_CHECK_OK(in_range("mirostat_eta", o.mirostat_eta, 0, 1));
  if (o.dry_breakers.size() > kMaxDryBreakers)
    return fail(ErrorCode::kLimit, "dry_sequence_breakers: expected at most {}, found {}", kMaxDryBreakers,
                o.dry_breakers.size());
  for (const std::string& breaker : o.dry_breakers)
    if (breaker.size() > kMaxDryBreakerBytes)
      return fail(ErrorCode::kLimit, "dry_sequence_breakers: expected texts of at most {} bytes, found {}",
                  kMaxDryBreakerBytes, breaker.size());
  return {};
}

TokenId greedy_token(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

TokenId Sampler::sample(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                        std::optional<std::span<const TokenId>> allowed) {
  ATELIER_CHECK(!logits.empty());
  if (options_.temperature == 0.0f && !changes_logits() && !allowed) return greedy_token(logits);
  logits_.assign(logits.begin(), logits.end());
  change_logits(seen);
  if (allowed) forbid_all_but(*allowed);
  if (options_.temperature == 0.0f) return greedy_token(logits_);

  candidates_.clear();
  for (size_t i = 0; i < logits_.size(); ++i)
    if (logits_[i] > -std::numeric_limits<float>::infinity())
      candidates_.push_back({static_cast<TokenId>(i), logits_[i] / options_.temperature, 0.0f});
  if (candidates_.empty()) return greedy_token(logits_);
  return choose(step);
}

TokenId Sampler::sample_masked(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                               std::span<const uint64_t> mask) {
  ATELIER_CHECK(mask.size() == (logits.size() + 63) / 64);
  if (changes_logits()) {
    logits_.assign(logits.begin(), logits.end());
    change_logits(seen);
    logits = logits_;
  }
  // Grammars often leave a handful of 200,000 tokens: only those are looked at.
  const float scale = options_.temperature == 0.0f ? 1.0f : options_.temperature;
  candidates_.clear();
  std::optional<TokenId> first;
  for (size_t word = 0; word < mask.size(); ++word) {
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const size_t id = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      ATELIER_CHECK(id < logits.size());
      if (!first) first = static_cast<TokenId>(id);
      if (logits[id] > -std::numeric_limits<float>::infinity())
        candidates_.push_back({static_cast<TokenId>(id), logits[id] / scale, 0.0f});
    }
  }
  ATELIER_CHECK(first.has_value());
  if (candidates_.empty()) return *first;
  if (options_.temperature > 0.0f) return choose(step);
  return std::ranges::max_element(candidates_, {}, &Candidate::logit)->id;
}

bool Sampler::changes_logits() const {
  return penalises(options_) || options_.dry_multiplier > 0.0f || !options_.logit_bias.empty();
}

void Sampler::change_logits(std::span<const TokenId> seen) {
  if (penalises(options_)) penalise(seen);
  if (options_.dry_multiplier > 0.0f) penalise_repetitions(seen);
  add_bias();
}

void Sampler::add_bias() {
  for (const auto& [id, bias] : options_.logit_bias)
    if (id >= 0 && static_cast<size_t>(id) < logits_.size()) logits_[static_cast<size_t>(id)] += bias;
}

// The cuts and the draw, from the candidates' logits by temperature.
TokenId Sampler::choose(uint64_t step) {
  if (options_.mirostat) return draw_mirostat(step);
  if (options_.top_k > 0) keep_top_k();
  soften();
  if (options_.top_p < 1.0f) keep_top_p();
  if (options_.min_p > 0.0f) keep_min_p();
  if (options_.typical_p < 1.0f) keep_typical();
  if (options_.xtc_probability > 0.0f) exclude_top(step);
  return draw(step).id;
}

void Sampler::forbid_all_but(std::span<const TokenId> allowed) {
  size_t next = 0;
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (next < allowed.size() && static_cast<size_t>(allowed[next]) == i) {
      ++next;
    } else {
      logits_[i] = -std::numeric_limits<float>::infinity();
    }
  }
}

void Sampler::penalise(std::span<const TokenId> seen) {
  seen = last_of(seen, options_.penalty_window);
  counts_.assign(logits_.size(), 0);
  for (const TokenId id : seen)
    if (id >= 0 && static_cast<size_t>(id) < counts_.size()) ++counts_[static_cast<size_t>(id)];
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (counts_[i] == 0) continue;
    float& logit = logits_[i];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    logit -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(counts_[i]);
  }
}

void Sampler::penalise_repetitions(std::span<const TokenId> seen) {
  seen = last_of(seen, options_.dry_window);
  size_t longest = seen.size();
  if (tokenizer_ != nullptr) longest = tokens_behind_breaker(seen, options_.dry_breakers, *tokenizer_);
  if (longest < options_.dry_allowed_length) return;
  repetitions_.find(seen, longest, continuations_);
  // Of several repetitions that a token continues, the longest counts.
  counts_.assign(logits_.size(), 0);
  for (const auto& [token, length] : continuations_)
    if (token >= 0 && static_cast<size_t>(token) < counts_.size()) {
      uint32_t& most = counts_[static_cast<size_t>(token)];
      most = std::max(most, static_cast<uint32_t>(length));
    }
  for (const auto& [token, length] : continuations_) {
    if (token < 0 || static_cast<size_t>(token) >= counts_.size()) continue;
    const size_t most = std::exchange(counts_[static_cast<size_t>(token)], 0);
    if (most == 0 || most < options_.dry_allowed_length) continue;
    const double excess = static_cast<double>(most - options_.dry_allowed_length);
    const double penalty = static_cast<double>(options_.dry_multiplier) *
                           std::pow(static_cast<double>(options_.dry_base), excess);
    logits_[static_cast<size_t>(token)] -= static_cast<float>(std::min(penalty, kMaxDryPenalty));
  }
}

void Sampler::keep_top_k() {
  if (options_.top_k >= candidates_.size()) return;
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  std::ranges::nth_element(candidates_, candidates_.begin() + static_cast<std::ptrdiff_t>(options_.top_k),
                           better);
  candidates_.resize(options_.top_k);
}

// Probabilities of the candidates, summing to 1.
void Sampler::soften() {
  float best = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates_) best = std::max(best, c.logit);
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp(c.logit - best);
    sum += static_cast<double>(c.probability);
  }
  for (Candidate& c : candidates_)
    c.probability = static_cast<float>(static_cast<double>(c.probability) / sum);
}

// Sorts, likeliest first, only as far as the sum of probabilities needs to reach `mass`; cuts the rest.
void Sampler::sort_until(float mass) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
  };
  double sum = 0;
  size_t sorted = 0;
  for (size_t upto = 64; sorted < candidates_.size(); upto *= 8) {
    upto = std::min(upto, candidates_.size());
    std::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                      candidates_.begin() + static_cast<std::ptrdiff_t>(upto), candidates_.end(), likelier);
    for (; sorted < upto; ++sorted) {
      sum += static_cast<double>(candidates_[sorted].probability);
      if (sum >= static_cast<double>(mass)) {
        candidates_.resize(sorted + 1);
        return;
      }
    }
  }
}

void Sampler::keep_top_p() { sort_until(options_.top_p); }

void Sampler::keep_min_p() {
  float best = 0;
  for (const Candidate& c : candidates_) best = std::max(best, c.probability);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < options_.min_p * best; });
}

// Keeps the tokens whose surprise is closest to the expected one until their mass reaches typical_p.
void Sampler::keep_typical() {
  double mass = 0, entropy = 0;
  for (const Candidate& c : candidates_) mass += static_cast<double>(c.probability);
  for (const Candidate& c : candidates_) {
    const double p = static_cast<double>(c.probability) / mass;
    if (p > 0) entropy -= p * std::log(p);
  }
  const auto distance = [&](const Candidate& c) {
    return std::abs(-std::log(static_cast<double>(c.probability) / mass) - entropy);
  };
  std::ranges::sort(candidates_, [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da != db ? da < db : a.id < b.id;
  });
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += static_cast<double>(candidates_[i].probability) / mass;
    if (sum >= static_cast<double>(options_.typical_p)) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

// Leaves out the likeliest tokens, so that one nobody expects has a chance; the least likely of those that
// reach the threshold stays, so that something sensible is left.
void Sampler::exclude_top(uint64_t step) {
  if (uniform_for_xtc(options_.seed, step) >= static_cast<double>(options_.xtc_probability)) return;
  double mass = 0;
  for (const Candidate& c : candidates_) mass += static_cast<double>(c.probability);
  const double threshold = static_cast<double>(options_.xtc_threshold) * mass;
  const auto above = [&](const Candidate& c) { return static_cast<double>(c.probability) >= threshold; };
  const Candidate* stays = nullptr;
  for (const Candidate& c : candidates_)
    if (above(c) && (stays == nullptr || c.probability < stays->probability ||
                     (c.probability == stays->probability && c.id > stays->id)))
      stays = &c;
  if (stays == nullptr) return;
  std::erase_if(candidates_, [&, id = stays->id](const Candidate& c) { return above(c) && c.id != id; });
}

TokenId Sampler::draw_mirostat(uint64_t step) {
  if (step == 0 || !mu_) mu_ = 2.0 * static_cast<double>(options_.mirostat_tau);
  soften();
  const auto surprise = [](const Candidate& c) { return -std::log2(static_cast<double>(c.probability)); };
  const auto likeliest = std::ranges::max_element(candidates_, {}, &Candidate::probability);
  const Candidate best = *likeliest;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.id != best.id && surprise(c) > *mu_; });
  const Candidate drawn = draw(step);
  double mass = 0;
  for (const Candidate& c : candidates_) mass += static_cast<double>(c.probability);
  const double error = surprise(drawn) + std::log2(mass) - static_cast<double>(options_.mirostat_tau);
  *mu_ -= static_cast<double>(options_.mirostat_eta) * error;
  return drawn.id;
}

const Sampler::Candidate& Sampler::draw(uint64_t step) const {
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.probability);
  double left = uniform(options_.seed, step) * total;
  for (const Candidate& c : candidates_) {
    left -= static_cast<double>(c.probability);
    if (left < 0) return c;
  }
  return candidates_.back();
}

}  // namespace atelier
