// Random checkpoints of the LLaMA family.
#include <algorithm>
#include <array>

#include "models/config_reader.h"
#include "models/llama.h"
#include "models/synth_plan.h"

namespace atelier {
namespace {

struct LlamaPreset {
  std::string_view name;
  size_t n_layers, d_model, n_heads, kv_heads, head_dim, ffn_dim, vocab_size, context_length;
  double rope_theta;
  double rope_factor;  // Llama 3.1's scaling by wavelength from 8,192 positions; 1: none
  bool tied_head;
};

// Configurations as published with SmolLM2-135M, TinyLlama-1.1B, Llama-3.2-1B and Llama-3.1-8B.
constexpr std::array kPresets = {
    LlamaPreset{"tiny", 4, 256, 8, 2, 32, 512, 1024, 2048, 10000, 1, false},
    LlamaPreset{"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, 100000, 1, true},
    LlamaPreset{"tinyllama-1.1b", 22, 2048, 32, 4, 64, 5632, 32000, 2048, 10000, 1, false},
    LlamaPreset{"1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 500000, 32, true},
    LlamaPreset{"8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 500000, 8, false},
};

constexpr float kNormEps = 1e-5f;
constexpr double kNormEpsPublished = 1e-5;

Result<LlamaPreset> changed_preset(const SynthOptions& options, uint64_t tokenizer_size) {
  const auto found = std::ranges::find(kPresets, options.preset, &LlamaPreset::name);
  if (found == kPresets.end())
    return fail(ErrorCode::kInvalidArgument, "synth: preset: expected one of {}, found '{}'",
                fmt::join(synth_presets("llama"), ", "), options.preset);
  LlamaPreset p = *found;
  const SynthOverrides& o = options.overrides;
  if (o.n_experts || o.n_active_experts)
    return fail(ErrorCode::kInvalidArgument, "synth: llama has no experts to choose a number of");
  ATELIER_CHECK_OK(apply_override(o.n_layers, "layers", kMaxLayers, p.n_layers));
  ATELIER_CHECK_OK(apply_override(o.d_model, "model width", kMaxDim, p.d_model));
  ATELIER_CHECK_OK(apply_override(o.n_heads, "heads", kMaxDim, p.n_heads));
  ATELIER_CHECK_OK(apply_override(o.kv_heads, "key-value heads", kMaxDim, p.kv_heads));
  ATELIER_CHECK_OK(apply_override(o.head_dim, "head size", kMaxDim, p.head_dim));
  ATELIER_CHECK_OK(apply_override(o.ffn_dim, "feed-forward width", kMaxDim, p.ffn_dim));
  ATELIER_CHECK_OK(apply_override(o.context_length, "context", kMaxVocab, p.context_length));
  ATELIER_TRY(p.vocab_size, synth_vocab_size(options, p.vocab_size, tokenizer_size));
  if (p.n_heads % p.kv_heads != 0 || p.head_dim % 2 != 0)
    return fail(ErrorCode::kInvalidArgument,
                "synth: expected heads in multiples of the key-value heads and an even head size, found {}, "
                "{} and {}",
                p.n_heads, p.kv_heads, p.head_dim);
  return p;
}

nlohmann::json hf_config(const LlamaPreset& p) {
  nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_act", "silu"},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"num_hidden_layers", p.n_layers},
      {"hidden_size", p.d_model},
      {"num_attention_heads", p.n_heads},
      {"num_key_value_heads", p.kv_heads},
      {"head_dim", p.head_dim},
      {"intermediate_size", p.ffn_dim},
      {"vocab_size", p.vocab_size},
      {"max_position_embeddings", p.context_length},
      {"rms_norm_eps", kNormEpsPublished},
      {"rope_theta", p.rope_theta},
      {"rope_scaling", nullptr},
      {"tie_word_embeddings", p.tied_head},
      {"torch_dtype", "bfloat16"},
  };
  if (p.rope_factor != 1)
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", p.rope_factor},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  return config;
}

// Meta's params.json gives the feed-forward width as a multiple of what it computes from the model width; the
// tensors settle it for whoever reads them.
nlohmann::json meta_config(const LlamaPreset& p) {
  nlohmann::json config = {{"dim", p.d_model},           {"n_layers", p.n_layers},
                           {"n_heads", p.n_heads},       {"n_kv_heads", p.kv_heads},
                           {"vocab_size", p.vocab_size}, {"norm_eps", kNormEpsPublished},
                           {"rope_theta", p.rope_theta}, {"multiple_of", 1}};
  if (p.rope_factor != 1) {
    config["use_scaled_rope"] = true;
    config["rope_scaling_factor"] = p.rope_factor;
    config["rope_high_freq_factor"] = 4.0;
  }
  return config;
}

nlohmann::json gguf_config(const LlamaPreset& p) {
  return {{"general.architecture", "llama"},
          {"general.name", fmt::format("synthetic llama {}", p.name)},
          {"llama.block_count", p.n_layers},
          {"llama.context_length", p.context_length},
          {"llama.embedding_length", p.d_model},
          {"llama.feed_forward_length", p.ffn_dim},
          {"llama.attention.head_count", p.n_heads},
          {"llama.attention.head_count_kv", p.kv_heads},
          {"llama.attention.key_length", p.head_dim},
          {"llama.attention.value_length", p.head_dim},
          {"llama.attention.layer_norm_rms_epsilon", kNormEps},
          {"llama.rope.freq_base", static_cast<float>(p.rope_theta)},
          {"llama.rope.dimension_count", p.head_dim},
          {"llama.vocab_size", p.vocab_size}};
}

// What GGUF keeps of Llama 3's scaling: the divisor of every frequency.
std::vector<float> rope_divisors(const LlamaPreset& p) {
  const std::vector<double> plain = rope_frequencies(p.rope_theta, p.head_dim);
  std::vector<double> scaled = plain;
  scale_llama3(scaled, {.factor = p.rope_factor});
  std::vector<float> divisors;
  for (size_t i = 0; i < plain.size(); ++i) divisors.push_back(static_cast<float>(plain[i] / scaled[i]));
  return divisors;
}

Result<SynthPlan> plan_llama(const SynthOptions& options, uint64_t tokenizer_size) {
  ATELIER_TRY(const LlamaPreset p, changed_preset(options, tokenizer_size));
  LlamaConfig config;
  config.n_layers = p.n_layers;
  config.d_model = p.d_model;
  config.n_heads = p.n_heads;
  config.kv_heads = p.kv_heads;
  config.head_dim = p.head_dim;
  config.ffn_dim = p.ffn_dim;
  config.vocab_size = p.vocab_size;
  auto weights = std::make_shared<LlamaWeights>();
  SynthPlan plan;
  plan.table = llama_table(config, *weights);
  plan.weights = std::move(weights);
  plan.vocab_size = p.vocab_size;
  plan.tied_head = p.tied_head && options.dialect != Dialect::kOriginal;  // Meta's files always have a head
  if (!plan.tied_head) plan.optional.push_back("output.weight");
  switch (options.dialect) {
    case Dialect::kGguf:
      plan.config = gguf_config(p);
      plan.vectors = DType::kF32;
      if (p.rope_factor != 1) plan.extra_vectors.emplace_back("rope_freqs.weight", rope_divisors(p));
      break;
    case Dialect::kHf:
      plan.config = hf_config(p);
      break;
    case Dialect::kOriginal:
      plan.config = meta_config(p);
      plan.config_name = "params.json";
      plan.weights_stem = "consolidated";
      break;
  }
  return plan;
}

std::vector<std::string_view> presets() {
  std::vector<std::string_view> names;
  for (const LlamaPreset& preset : kPresets) names.push_back(preset.name);
  return names;
}

// Llama 3's; its chat dialect is recognised by them.
SynthTokens tokens() {
  return {.specials = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                       "<|eom_id|>", "<|eot_id|>"},
          .bos = "<|begin_of_text|>",
          .ends = {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"},
          .pre = "llama-bpe"};
}

constexpr SynthArchitecture kLlama{"llama", presets, tokens, plan_llama};

}  // namespace

const SynthArchitecture& synth_llama() { return kLlama; }

}  // namespace atelier
