#include "models/blocks/totals.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/config_reader.h"

namespace atelier {

Result<std::vector<TokenId>> published_stop_tokens(const Checkpoint& checkpoint) {
  std::vector<TokenId> stops;
  const auto add = [&](const nlohmann::json* object, std::string_view key) -> Status {
    if (object == nullptr) return {};
    ATELIER_TRY(const std::vector<int32_t> ids, ConfigReader(*object, "").ids(key));
    stops.insert(stops.end(), ids.begin(), ids.end());
    return {};
  };
  if (checkpoint.dialect() == Dialect::kGguf) {
    for (const char* key :
         {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
      ATELIER_CHECK_OK(add(&checkpoint.metadata(), key));
  } else {
    ATELIER_CHECK_OK(add(checkpoint.generation_config(), "eos_token_id"));
    ATELIER_CHECK_OK(add(&checkpoint.metadata(), "eos_token_id"));
  }
  std::ranges::sort(stops);
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
  return stops;
}

void add_totals(const WeightTable& table, const Checkpoint& checkpoint, ModelInfo& info,
                double active_share) {
  for (const WeightSpec& spec : table.specs()) {
    const uint64_t elems = spec.n_experts * spec.rows * spec.cols;
    const auto share = [&](uint64_t total) {
      return static_cast<uint64_t>(static_cast<double>(total) * active_share);
    };
    switch (spec.kind) {
      case WeightSpec::Kind::kVector:
      case WeightSpec::Kind::kExpertVectors:
        info.n_params += spec.values->size();
        info.n_active_params += spec.n_experts == 1 ? spec.values->size() : share(spec.values->size());
        break;
      case WeightSpec::Kind::kMatrix: {
        if (spec.weight->empty()) break;
        info.n_params += elems;
        if (!spec.matrix_options.streamed) break;
        info.n_active_params += elems;
        info.packed_bytes += spec.weight->packed_bytes();
        info.in_place_bytes += spec.weight->in_place_bytes();
        info.bytes_per_token += spec.weight->streamed_bytes();
        break;
      }
      case WeightSpec::Kind::kExpertMatrices: {
        uint64_t streamed = 0;
        for (const Weight& expert : *spec.expert_weights) {
          streamed += expert.streamed_bytes();
          info.packed_bytes += expert.packed_bytes();
          info.in_place_bytes += expert.in_place_bytes();
        }
        info.n_params += elems;
        info.n_active_params += share(elems);
        info.bytes_per_token += share(streamed);
        info.expert_bytes += streamed;
        break;
      }
    }
  }
  info.expert_share = active_share;
  info.weight_bytes = checkpoint.total_tensor_bytes();
}

double ModelInfo::bytes_per_pass(size_t n_tokens) const {
  const double missed = std::pow(1 - expert_share, static_cast<double>(n_tokens));  // share no token meets
  return static_cast<double>(bytes_per_token) +
         static_cast<double>(expert_bytes) * (1 - missed - expert_share);
}

void tie_head(const Weight& embedding, Weight& head, ModelInfo& info) {
  if (!head.empty()) return;
  head = Weight(embedding.source());
  head.pack_as(embedding.packed_dtype());
  info.n_active_params += head.rows() * head.cols();
  info.packed_bytes += head.packed_bytes();
  info.in_place_bytes += head.in_place_bytes();
  info.bytes_per_token += head.streamed_bytes();
}

}  // namespace atelier
