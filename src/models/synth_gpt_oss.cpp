// Random checkpoints of gpt-oss.
#include <algorithm>
#include <array>

#include "models/config_reader.h"
#include "models/gpt_oss.h"
#include "models/synth_plan.h"

namespace atelier {
namespace {

struct GptOssPreset {
  std::string_view name;
  size_t n_layers, d_model, n_heads, kv_heads, head_dim, n_experts, n_active, ffn_dim, vocab_size;
  size_t context_length;
};

// openai/gpt-oss-20b and -120b, config.json; and a small one with odd proportions (q_dim ≠ d_model, widths
// that are no power of two).
constexpr std::array kPresets = {
    GptOssPreset{"tiny", 4, 160, 8, 2, 32, 8, 4, 96, 1024, 131072},
    GptOssPreset{"20b", 24, 2880, 64, 8, 64, 32, 4, 2880, 201088, 131072},
    GptOssPreset{"120b", 36, 2880, 64, 8, 64, 128, 4, 2880, 201088, 131072},
};

constexpr size_t kWindow = 128;
constexpr double kRopeBase = 150000, kRopeFactor = 32, kBetaFast = 32, kBetaSlow = 1, kSwigluLimit = 7;
constexpr size_t kInitialContext = 4096;
constexpr double kNormEps = 1e-5;

Result<GptOssPreset> changed_preset(const SynthOptions& options, uint64_t tokenizer_size) {
  const auto found = std::ranges::find(kPresets, options.preset, &GptOssPreset::name);
  if (found == kPresets.end())
    return fail(ErrorCode::kInvalidArgument, "synth: preset: expected one of {}, found '{}'",
                fmt::join(synth_presets("gpt-oss"), ", "), options.preset);
  GptOssPreset p = *found;
  const SynthOverrides& o = options.overrides;
  ATELIER_CHECK_OK(apply_override(o.n_layers, "layers", kMaxLayers, p.n_layers));
  ATELIER_CHECK_OK(apply_override(o.d_model, "model width", kMaxDim, p.d_model));
  ATELIER_CHECK_OK(apply_override(o.n_heads, "heads", kMaxDim, p.n_heads));
  ATELIER_CHECK_OK(apply_override(o.kv_heads, "key-value heads", kMaxDim, p.kv_heads));
  ATELIER_CHECK_OK(apply_override(o.head_dim, "head size", kMaxDim, p.head_dim));
  ATELIER_CHECK_OK(apply_override(o.n_experts, "experts", kMaxExperts, p.n_experts));
  ATELIER_CHECK_OK(apply_override(o.n_active_experts, "experts per token", kMaxExperts, p.n_active));
  ATELIER_CHECK_OK(apply_override(o.ffn_dim, "expert width", kMaxDim, p.ffn_dim));
  ATELIER_CHECK_OK(apply_override(o.context_length, "context", kMaxVocab, p.context_length));
  ATELIER_TRY(p.vocab_size, synth_vocab_size(options, p.vocab_size, tokenizer_size));
  if (p.n_heads % p.kv_heads != 0 || p.head_dim % 2 != 0)
    return fail(ErrorCode::kInvalidArgument,
                "synth: expected heads in multiples of the key-value heads and an even head size, found {}, "
                "{} and {}",
                p.n_heads, p.kv_heads, p.head_dim);
  if (p.n_active > p.n_experts)
    return fail(ErrorCode::kInvalidArgument, "synth: experts per token: expected at most {}, found {}",
                p.n_experts, p.n_active);
  if (p.d_model % 32 != 0 || p.ffn_dim % 32 != 0)
    return fail(ErrorCode::kInvalidArgument,
                "synth: expected widths in multiples of 32, the blocks of MXFP4, found {} and {}", p.d_model,
                p.ffn_dim);
  return p;
}

bool is_mxfp4(const SynthOptions& options) { return options.format == SynthFormat::kAsPublished; }

nlohmann::json hf_config(const GptOssPreset& p, bool mxfp4) {
  nlohmann::json layer_types = nlohmann::json::array();
  for (size_t i = 0; i < p.n_layers; ++i)
    layer_types.push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
  nlohmann::json config = {
      {"architectures", {"GptOssForCausalLM"}},
      {"model_type", "gpt_oss"},
      {"attention_bias", true},
      {"experts_per_token", p.n_active},
      {"head_dim", p.head_dim},
      {"hidden_act", "silu"},
      {"hidden_size", p.d_model},
      {"initial_context_length", kInitialContext},
      {"intermediate_size", p.ffn_dim},
      {"layer_types", layer_types},
      {"max_position_embeddings", p.context_length},
      {"num_attention_heads", p.n_heads},
      {"num_experts_per_tok", p.n_active},
      {"num_hidden_layers", p.n_layers},
      {"num_key_value_heads", p.kv_heads},
      {"num_local_experts", p.n_experts},
      {"rms_norm_eps", kNormEps},
      {"rope_theta", kRopeBase},
      {"rope_scaling",
       {{"rope_type", "yarn"},
        {"factor", kRopeFactor},
        {"beta_fast", kBetaFast},
        {"beta_slow", kBetaSlow},
        {"original_max_position_embeddings", kInitialContext},
        {"truncate", false}}},
      {"sliding_window", kWindow},
      {"swiglu_limit", kSwigluLimit},
      {"tie_word_embeddings", false},
      {"vocab_size", p.vocab_size},
  };
  if (mxfp4)
    config["quantization_config"] = {
        {"quant_method", "mxfp4"},
        {"modules_to_not_convert",
         {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"}}};
  return config;
}

nlohmann::json original_config(const GptOssPreset& p) {
  return {{"num_hidden_layers", p.n_layers},  {"num_experts", p.n_experts},
          {"experts_per_token", p.n_active},  {"vocab_size", p.vocab_size},
          {"hidden_size", p.d_model},         {"intermediate_size", p.ffn_dim},
          {"swiglu_limit", kSwigluLimit},     {"head_dim", p.head_dim},
          {"num_attention_heads", p.n_heads}, {"num_key_value_heads", p.kv_heads},
          {"sliding_window", kWindow},        {"initial_context_length", kInitialContext},
          {"rope_theta", kRopeBase},          {"rope_scaling_factor", kRopeFactor},
          {"rope_ntk_alpha", kBetaSlow},      {"rope_ntk_beta", kBetaFast}};
}

nlohmann::json gguf_config(const GptOssPreset& p) {
  return {{"general.architecture", "gpt-oss"},
          {"general.name", fmt::format("synthetic gpt-oss {}", p.name)},
          {"gpt-oss.block_count", p.n_layers},
          {"gpt-oss.context_length", p.context_length},
          {"gpt-oss.embedding_length", p.d_model},
          {"gpt-oss.feed_forward_length", p.ffn_dim},
          {"gpt-oss.attention.head_count", p.n_heads},
          {"gpt-oss.attention.head_count_kv", p.kv_heads},
          {"gpt-oss.attention.key_length", p.head_dim},
          {"gpt-oss.attention.value_length", p.head_dim},
          {"gpt-oss.attention.layer_norm_rms_epsilon", static_cast<float>(kNormEps)},
          {"gpt-oss.attention.sliding_window", kWindow},
          {"gpt-oss.expert_count", p.n_experts},
          {"gpt-oss.expert_used_count", p.n_active},
          {"gpt-oss.expert_feed_forward_length", p.ffn_dim},
          {"gpt-oss.rope.freq_base", static_cast<float>(kRopeBase)},
          {"gpt-oss.rope.scaling.type", "yarn"},
          {"gpt-oss.rope.scaling.factor", static_cast<float>(kRopeFactor)},
          {"gpt-oss.rope.scaling.original_context_length", kInitialContext}};
}

Result<SynthPlan> plan_gpt_oss(const SynthOptions& options, uint64_t tokenizer_size) {
  ATELIER_TRY(const GptOssPreset p, changed_preset(options, tokenizer_size));
  GptOssConfig config;
  config.n_layers = p.n_layers;
  config.d_model = p.d_model;
  config.n_heads = p.n_heads;
  config.kv_heads = p.kv_heads;
  config.head_dim = p.head_dim;
  config.n_experts = p.n_experts;
  config.n_active = p.n_active;
  config.ffn_dim = p.ffn_dim;
  config.vocab_size = p.vocab_size;
  auto weights = std::make_shared<GptOssWeights>();
  SynthPlan plan;
  plan.table = gpt_oss_table(config, *weights);
  plan.weights = std::move(weights);
  plan.vocab_size = p.vocab_size;
  plan.experts = DType::kMXFP4;
  switch (options.dialect) {
    case Dialect::kGguf:  // as ggml-org publishes the models
      plan.config = gguf_config(p);
      plan.matrices = DType::kQ8_0;
      plan.vectors = DType::kF32;
      break;
    case Dialect::kHf:
      plan.config = hf_config(p, is_mxfp4(options));
      break;
    case Dialect::kOriginal:
      plan.config = original_config(p);
      plan.lists_dtypes = true;
      break;
  }
  return plan;
}

std::vector<std::string_view> presets() {
  std::vector<std::string_view> names;
  for (const GptOssPreset& preset : kPresets) names.push_back(preset.name);
  return names;
}

SynthTokens tokens() {
  return {.specials = {"<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
                       "<|start|>", "<|end|>", "<|message|>", "<|call|>"},
          .bos = "",
          .ends = {"<|return|>", "<|endoftext|>", "<|call|>"},
          .pre = "gpt-4o"};
}

constexpr SynthArchitecture kGptOss{"gpt-oss", presets, tokens, plan_gpt_oss};

}  // namespace

const SynthArchitecture& synth_gpt_oss() { return kGptOss; }

}  // namespace atelier
