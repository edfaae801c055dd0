#include "models/blocks/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace atelier {
namespace {

// The (fractional) pair index whose frequency turns `turns` times within `context` positions.
double pair_index_of(double turns, double context, double base, double rotary_dim) {
  return rotary_dim * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
}

Result<double> positive(const ConfigReader& config, std::string_view key) {
  ATELIER_TRY(const double value, config.number(key));
  if (value <= 0)
    return fail(ErrorCode::kCorrupt, "configuration: {}: expected a positive number, found {}", key, value);
  return value;
}

Result<double> positive_or(const ConfigReader& config, std::string_view key, double fallback) {
  return config.has(key) ? positive(config, key) : Result<double>(fallback);
}

Status apply_llama3(const ConfigReader& scaling, RopeConfig& rope) {
  Llama3Scaling llama3;
  ATELIER_TRY(llama3.factor, positive(scaling, "factor"));
  ATELIER_TRY(llama3.low_freq_factor, positive(scaling, "low_freq_factor"));
  ATELIER_TRY(llama3.high_freq_factor, positive(scaling, "high_freq_factor"));
  ATELIER_TRY(llama3.original_context, positive(scaling, "original_max_position_embeddings"));
  scale_llama3(rope.frequencies, llama3);
  return {};
}

Status apply_yarn(const ConfigReader& scaling, const ConfigReader& config, double base, bool round_bounds,
                  RopeConfig& rope) {
  YarnScaling yarn;
  ATELIER_TRY(yarn.factor, positive(scaling, "factor"));
  ATELIER_TRY(const double context, positive_or(config, "max_position_embeddings", 4096));
  ATELIER_TRY(yarn.original_context, positive_or(scaling, "original_max_position_embeddings", context));
  ATELIER_TRY(yarn.beta_fast, positive_or(scaling, "beta_fast", 32));
  ATELIER_TRY(yarn.beta_slow, positive_or(scaling, "beta_slow", 1));
  ATELIER_TRY(yarn.round_bounds, scaling.flag_or("truncate", round_bounds));
  scale_yarn(rope.frequencies, base, yarn);
  ATELIER_TRY(rope.scale, positive_or(scaling, "attention_factor", yarn_attention_factor(yarn.factor)));
  return {};
}

// `scaling`: type and numbers; `config`: where max_position_embeddings may stand.
Result<RopeConfig> scaled_rope(const ConfigReader& scaling, const ConfigReader& config, size_t rotary_dim,
                               double base, bool round_bounds) {
  RopeConfig rope{.frequencies = rope_frequencies(base, rotary_dim)};
  ATELIER_TRY(const std::string old_name, scaling.text_or("type", "default"));
  ATELIER_TRY(const std::string type, scaling.text_or("rope_type", old_name));
  if (type == "default") return rope;
  if (type == "linear") {
    ATELIER_TRY(const double factor, positive(scaling, "factor"));
    for (double& frequency : rope.frequencies) frequency /= factor;
    return rope;
  }
  if (type == "llama3") {
    ATELIER_CHECK_OK(apply_llama3(scaling, rope));
    return rope;
  }
  if (type == "yarn") {
    ATELIER_CHECK_OK(apply_yarn(scaling, config, base, round_bounds, rope));
    return rope;
  }
  return fail(ErrorCode::kUnsupported,
              "configuration: rope_scaling: expected type default, linear, llama3 or yarn, found '{}'", type);
}

}  // namespace

std::vector<double> rope_frequencies(double base, size_t rotary_dim) {
  std::vector<double> frequencies(rotary_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
  return frequencies;
}

void scale_llama3(std::vector<double>& frequencies, const Llama3Scaling& scaling) {
  const double low_wavelength = scaling.original_context / scaling.low_freq_factor;
  const double high_wavelength = scaling.original_context / scaling.high_freq_factor;
  for (double& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      frequency /= scaling.factor;
      continue;
    }
    const double smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) /
                          (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency = (1 - smooth) * frequency / scaling.factor + smooth * frequency;
  }
}

Status divide_frequencies(std::vector<double>& frequencies, std::span<const float> divisors) {
  double factor = 1;
  for (const float divisor : divisors) {
    if (!(divisor > 0) || !std::isfinite(divisor))
      return fail(ErrorCode::kCorrupt, "tensor rope_freqs.weight: expected positive numbers, found {}",
                  divisor);
    factor = std::max(factor, static_cast<double>(divisor));
  }
  std::vector<double> by_formula = frequencies;
  scale_llama3(by_formula, {.factor = factor});
  // Converters compute the blend in float32, where its errors grow to factor · 1e-6 at most.
  constexpr double kRounding = 1e-5;
  bool is_formula = factor > 1;
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double divided = frequencies[i] / static_cast<double>(divisors[i]);
    is_formula = is_formula && std::abs(divided / by_formula[i] - 1) <= kRounding;
    frequencies[i] = divided;
  }
  if (is_formula) frequencies = std::move(by_formula);
  return {};
}

void scale_yarn(std::vector<double>& frequencies, double base, const YarnScaling& scaling) {
  const double rotary_dim = 2.0 * static_cast<double>(frequencies.size());
  double low = pair_index_of(scaling.beta_fast, scaling.original_context, base, rotary_dim);
  double high = pair_index_of(scaling.beta_slow, scaling.original_context, base, rotary_dim);
  if (scaling.round_bounds) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rotary_dim - 1);
  if (low == high) high += 0.001;  // the reference's guard against a division by zero
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / scaling.factor * ramp + frequencies[i] * (1 - ramp);
  }
}

double yarn_attention_factor(double factor) { return factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0; }

Result<RopeConfig> rope_from_config_json(const ConfigReader& config, size_t rotary_dim,
                                         const RopeDefaults& defaults) {
  const std::optional<ConfigReader> parameters = config.object("rope_parameters");
  const std::optional<ConfigReader> scaling = parameters ? parameters : config.object("rope_scaling");
  ATELIER_TRY(const double outer_base, positive_or(config, "rope_theta", defaults.base));
  double base = outer_base;
  if (parameters) {
    ATELIER_TRY(base, positive_or(*parameters, "rope_theta", outer_base));
  }
  if (!scaling) return RopeConfig{.frequencies = rope_frequencies(base, rotary_dim)};
  return scaled_rope(*scaling, config, rotary_dim, base, defaults.round_bounds);
}

Result<RopeConfig> rope_from_parameters(const ConfigReader& parameters, size_t rotary_dim,
                                        const RopeDefaults& defaults) {
  ATELIER_TRY(const double base, positive_or(parameters, "rope_theta", defaults.base));
  return scaled_rope(parameters, parameters, rotary_dim, base, defaults.round_bounds);
}

Result<RopeConfig> rope_from_gguf(const ConfigReader& config, size_t rotary_dim, size_t context,
                                  const RopeDefaults& defaults) {
  ATELIER_TRY(const double base, positive_or(config, "rope.freq_base", defaults.base));
  RopeConfig rope{.frequencies = rope_frequencies(base, rotary_dim)};
  ATELIER_TRY(const std::string type, config.text_or("rope.scaling.type", "none"));
  if (type == "none") return rope;
  ATELIER_TRY(const double factor, positive_or(config, "rope.scaling.factor", 1));
  if (type == "linear") {
    for (double& frequency : rope.frequencies) frequency /= factor;
    return rope;
  }
  if (type != "yarn")
    return fail(ErrorCode::kUnsupported,
                "configuration: rope.scaling.type: expected none, linear or yarn, found '{}'", type);
  YarnScaling yarn{.factor = factor, .round_bounds = defaults.round_bounds};
  ATELIER_TRY(yarn.original_context,
              positive_or(config, "rope.scaling.original_context_length", static_cast<double>(context)));
  ATELIER_TRY(yarn.beta_fast, positive_or(config, "rope.scaling.yarn_beta_fast", yarn.beta_fast));
  ATELIER_TRY(yarn.beta_slow, positive_or(config, "rope.scaling.yarn_beta_slow", yarn.beta_slow));
  scale_yarn(rope.frequencies, base, yarn);
  rope.scale = yarn_attention_factor(factor);
  return rope;
}

}  // namespace atelier
