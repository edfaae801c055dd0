// What an architecture says about a random checkpoint of itself: its tensors, its configuration files, and
// the tokens its prompts need. Each architecture has a file synth_<name>.cpp that makes plans.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/dtype.h"
#include "models/synth.h"
#include "models/weight_table.h"

namespace atelier {

struct SynthPlan {
  WeightTable table;
  std::shared_ptr<void> weights;      // what the table is bound to
  std::vector<std::string> optional;  // GGUF names of optional entries that are published all the same
  bool tied_head = false;

  // config.json or params.json; for GGUF the key-value pairs, architecture's prefix included. Token ids are
  // added by the caller.
  nlohmann::json config;
  std::string config_name = "config.json";
  std::string weights_stem = "model";  // of the .safetensors
  // Float tensors that only this dialect publishes ("rope_freqs.weight").
  std::vector<std::pair<std::string, std::vector<float>>> extra_vectors;
  bool lists_dtypes = false;  // a dtypes.json names the format of every tensor (OpenAI's layout)

  // What kAsPublished means for this dialect.
  DType matrices = DType::kBF16;
  DType experts = DType::kBF16;
  DType vectors = DType::kBF16;

  uint64_t vocab_size = 0;
};

// Tokens an architecture's prompts are made of.
struct SynthTokens {
  std::vector<std::string> specials;
  std::string bos;                // empty: none
  std::vector<std::string> ends;  // eos first
  std::string pre;                // tokenizer.ggml.pre of a generated tokenizer
};

// An architecture as synth knows it.
struct SynthArchitecture {
  std::string_view name;
  std::vector<std::string_view> (*presets)();
  SynthTokens (*tokens)();
  // `tokenizer_size`: ids the tokenizer needs; the vocabulary becomes at least as large unless overridden.
  Result<SynthPlan> (*plan)(const SynthOptions& options, uint64_t tokenizer_size);
};

const SynthArchitecture& synth_llama();
const SynthArchitecture& synth_gpt_oss();
const SynthArchitecture& synth_gpt2();

// value = *override, held against [1, max].
Status apply_override(std::optional<uint64_t> override_value, std::string_view name, uint64_t max,
                      size_t& value);
// The vocabulary a plan gets: the override, else the larger of the preset's and the tokenizer's.
Result<uint64_t> synth_vocab_size(const SynthOptions& options, uint64_t preset_size, uint64_t tokenizer_size);

}  // namespace atelier
