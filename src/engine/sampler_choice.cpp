#include "engine/sampler_choice.h"

#include <random>

namespace atelier {

SamplerOptions SamplerChoice::over(SamplerOptions options) const {
  const auto take = [](auto& option, const auto& chosen) { option = chosen.value_or(option); };
  take(options.temperature, temperature);
  take(options.top_p, top_p);
  take(options.top_k, top_k);
  take(options.min_p, min_p);
  take(options.typical_p, typical_p);
  take(options.repetition_penalty, repetition_penalty);
  take(options.presence_penalty, presence_penalty);
  take(options.frequency_penalty, frequency_penalty);
  take(options.penalty_window, penalty_window);
  take(options.dry_multiplier, dry_multiplier);
  take(options.dry_base, dry_base);
  take(options.dry_allowed_length, dry_allowed_length);
  take(options.dry_window, dry_window);
  take(options.dry_breakers, dry_breakers);
  take(options.xtc_probability, xtc_probability);
  take(options.xtc_threshold, xtc_threshold);
  take(options.mirostat, mirostat);
  take(options.mirostat_tau, mirostat_tau);
  take(options.mirostat_eta, mirostat_eta);
  options.logit_bias = logit_bias;
  options.seed = seed ? *seed : std::random_device{}();
  return options;
}

}  // namespace atelier
