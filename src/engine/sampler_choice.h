// What a user or a client says about sampling: what is not said is the model's recommendation.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"

namespace atelier {

struct SamplerChoice {
  std::optional<float> temperature{}, top_p{}, min_p{}, typical_p{};
  std::optional<float> repetition_penalty{}, presence_penalty{}, frequency_penalty{};
  std::optional<size_t> top_k{}, penalty_window{};
  std::optional<float> dry_multiplier{}, dry_base{};
  std::optional<size_t> dry_allowed_length{}, dry_window{};
  std::optional<std::vector<std::string>> dry_breakers{};
  std::optional<float> xtc_probability{}, xtc_threshold{};
  std::optional<bool> mirostat{};
  std::optional<float> mirostat_tau{}, mirostat_eta{};
  std::optional<uint64_t> seed{};  // none: drawn anew
  std::map<TokenId, float> logit_bias{};

  SamplerOptions over(SamplerOptions recommended) const;
};

}  // namespace atelier
