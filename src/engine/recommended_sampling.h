// How a model's publisher wants it sampled.
#pragma once

#include "engine/sampler.h"
#include "io/checkpoint.h"

namespace atelier {

// generation_config.json's temperature, top_k, top_p and repetition_penalty where it asks for sampling; for
// files that carry none, what the model's card says; else temperature 0.7 and top_p 0.95.
SamplerOptions recommended_sampling(const Checkpoint& checkpoint);

}  // namespace atelier
