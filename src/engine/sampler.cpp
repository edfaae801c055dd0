#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace atelier {
namespace {

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
  return in_range("frequency_penalty", o.frequency_penalty, -100, 100);
}

TokenId greedy_token(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

TokenId Sampler::sample(std::span<const float> logits, std::span<const TokenId> seen, uint64_t step,
                        std::optional<std::span<const TokenId>> allowed) {
  ATELIER_CHECK(!logits.empty());
  const bool penalised = options_.repetition_penalty != 1.0f || options_.presence_penalty != 0.0f ||
                         options_.frequency_penalty != 0.0f;
  if (options_.temperature == 0.0f && !penalised && options_.logit_bias.empty() && !allowed)
    return greedy_token(logits);
  logits_.assign(logits.begin(), logits.end());
  if (penalised) penalise(seen);
  for (const auto& [id, bias] : options_.logit_bias)
    if (id >= 0 && static_cast<size_t>(id) < logits_.size()) logits_[static_cast<size_t>(id)] += bias;
  if (allowed) forbid_all_but(*allowed);
  if (options_.temperature == 0.0f) return greedy_token(logits_);

  candidates_.clear();
  for (size_t i = 0; i < logits_.size(); ++i)
    if (logits_[i] > -std::numeric_limits<float>::infinity())
      candidates_.push_back({static_cast<TokenId>(i), logits_[i] / options_.temperature, 0.0f});
  if (candidates_.empty()) return greedy_token(logits_);
  if (options_.top_k > 0) keep_top_k();
  soften();
  if (options_.top_p < 1.0f) keep_top_p();
  if (options_.min_p > 0.0f) keep_min_p();
  if (options_.typical_p < 1.0f) keep_typical();
  return draw(step);
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
  if (options_.penalty_window > 0 && seen.size() > options_.penalty_window)
    seen = seen.last(options_.penalty_window);
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

TokenId Sampler::draw(uint64_t step) const {
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.probability);
  double left = uniform(options_.seed, step) * total;
  for (const Candidate& c : candidates_) {
    left -= static_cast<double>(c.probability);
    if (left < 0) return c.id;
  }
  return candidates_.back().id;
}

}  // namespace atelier
