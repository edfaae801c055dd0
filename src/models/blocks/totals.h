// What every architecture derives alike from its checkpoint and weight table.
#pragma once

#include <vector>

#include "base/result.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "models/weight_table.h"

namespace atelier {

// Tokens the files say end a generation: eos ids of generation_config.json and config.json, or eos, eot and
// eom of GGUF.
Result<std::vector<TokenId>> published_stop_tokens(const Checkpoint& checkpoint);

// Sums parameters and bytes over a loaded table into `info`; embeddings are read by row and count as
// parameters only. `active_share`: the part of each stack of experts that one token meets.
void add_totals(const WeightTable& table, const Checkpoint& checkpoint, ModelInfo& info,
                double active_share = 1.0);

// Models without a head of their own multiply with the embedding: binds it as head and counts it as streamed.
void tie_head(const Weight& embedding, Weight& head, ModelInfo& info);

}  // namespace atelier
