// The members of a request that say how to sample, as OpenAI's APIs name them, with the extensions that local
// servers share.
#pragma once

#include "server/fields.h"
#include "server/task.h"

namespace atelier::server {

// temperature, top_p, top_k, min_p, typical_p, repetition_penalty, presence_penalty, frequency_penalty,
// repeat_last_n, dry_*, xtc_*, mirostat*, seed, logit_bias.
Status read_sampling(const Fields& body, SamplerChoice& sampling);

// A string or a list of strings under `key`; at most kMaxStops of kMaxStopBytes.
Status read_stops(const Fields& body, const char* key, std::vector<std::string>& stops);

// The largest max_tokens that is a number of tokens at all; the context is compared once the model is known.
inline constexpr int64_t kMaxTokensField = int64_t{1} << 31;

}  // namespace atelier::server
