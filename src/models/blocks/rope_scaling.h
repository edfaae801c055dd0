// Rotary frequencies as configurations describe them: plain, linear, Llama 3's by wavelength, YaRN's ramp.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/config_reader.h"

namespace atelier {

// θ_i = base^(−2i / rotary_dim), i in [0, rotary_dim / 2).
std::vector<double> rope_frequencies(double base, size_t rotary_dim);

// Llama 3.x (meta-llama/llama-models, models/llama3/model.py, apply_scaling): by wavelength λ = 2π/θ. Longer
// than original_context / low_freq_factor: θ / factor; shorter than original_context / high_freq_factor: θ;
// blended between.
struct Llama3Scaling {
  double factor = 8;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  double original_context = 8192;
};
void scale_llama3(std::vector<double>& frequencies, const Llama3Scaling& scaling);
// The same as GGUF files publish it: one float32 divisor per pair, `rope_freqs.weight`. Divisors that are the
// formula's, with Meta's bounds and a factor of their own, up to rounding give way to the formula: the
// frequencies are then those of the other dialects to the bit. Errors: kCorrupt for a divisor that is not
// positive.
Status divide_frequencies(std::vector<double>& frequencies, std::span<const float> divisors);

// YaRN (arXiv 2309.00071, as in openai/gpt-oss, gpt_oss/torch/model.py, RotaryEmbedding): frequencies that
// turn more than beta_fast times within the original context stay, those that turn less than beta_slow times
// are divided by factor, with a linear ramp over the index between.
struct YarnScaling {
  double factor = 1;
  double original_context = 4096;
  double beta_fast = 32;
  double beta_slow = 1;
  bool round_bounds = true;  // HF's `truncate`: floor and ceil of the ramp's ends; gpt-oss does not round
};
void scale_yarn(std::vector<double>& frequencies, double base, const YarnScaling& scaling);
// The attention factor 0.1·ln(factor) + 1 that multiplies cos and sin (1 for factor ≤ 1).
double yarn_attention_factor(double factor);

// Frequencies and cos/sin factor of a whole configuration.
struct RopeConfig {
  std::vector<double> frequencies;  // [rotary_dim / 2]
  double scale = 1.0;
};

// What an architecture takes for granted where a configuration is silent.
struct RopeDefaults {
  double base = 10000;
  bool round_bounds = true;  // of YaRN's ramp
};

// From config.json: `rope_theta` with `rope_scaling`, or `rope_parameters` holding both (types default,
// linear, llama3, yarn). Errors: kUnsupported for other types, kCorrupt for missing or senseless numbers.
Result<RopeConfig> rope_from_config_json(const ConfigReader& config, size_t rotary_dim,
                                         const RopeDefaults& defaults = {});

// From one object that holds `rope_type`, `rope_theta` and what the type needs.
Result<RopeConfig> rope_from_parameters(const ConfigReader& parameters, size_t rotary_dim,
                                        const RopeDefaults& defaults = {});

// From a GGUF's `rope.freq_base` and `rope.scaling.*` (types none, linear, yarn). `context`: the context
// length, from which YaRN scales unless the file says otherwise. Errors as above.
Result<RopeConfig> rope_from_gguf(const ConfigReader& config, size_t rotary_dim, size_t context,
                                  const RopeDefaults& defaults = {});

}  // namespace atelier
