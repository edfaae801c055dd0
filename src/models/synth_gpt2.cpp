// Random checkpoints of GPT-2.
#include <algorithm>
#include <array>

#include "models/config_reader.h"
#include "models/gpt2.h"
#include "models/synth_plan.h"

namespace atelier {
namespace {

struct Gpt2Preset {
  std::string_view name;
  size_t n_layers, d_model, n_heads, ffn_dim, vocab_size, context_length;
};

// openai-community/gpt2 … gpt2-xl, config.json.
constexpr std::array kPresets = {
    Gpt2Preset{"tiny", 4, 128, 4, 512, 1024, 256},       Gpt2Preset{"124m", 12, 768, 12, 3072, 50257, 1024},
    Gpt2Preset{"355m", 24, 1024, 16, 4096, 50257, 1024}, Gpt2Preset{"774m", 36, 1280, 20, 5120, 50257, 1024},
    Gpt2Preset{"1.5b", 48, 1600, 25, 6400, 50257, 1024},
};

constexpr double kNormEps = 1e-5;

Result<Gpt2Preset> changed_preset(const SynthOptions& options, uint64_t tokenizer_size) {
  const auto found = std::ranges::find(kPresets, options.preset, &Gpt2Preset::name);
  if (found == kPresets.end())
    return fail(ErrorCode::kInvalidArgument, "synth: preset: expected one of {}, found '{}'",
                fmt::join(synth_presets("gpt2"), ", "), options.preset);
  Gpt2Preset p = *found;
  const SynthOverrides& o = options.overrides;
  if (o.n_experts || o.n_active_experts || o.kv_heads || o.head_dim)
    return fail(ErrorCode::kInvalidArgument,
                "synth: gpt2 has no experts, key-value heads or head size to choose");
  ATELIER_CHECK_OK(apply_override(o.n_layers, "layers", kMaxLayers, p.n_layers));
  ATELIER_CHECK_OK(apply_override(o.d_model, "model width", kMaxDim / 4, p.d_model));
  ATELIER_CHECK_OK(apply_override(o.n_heads, "heads", kMaxDim, p.n_heads));
  ATELIER_CHECK_OK(apply_override(o.ffn_dim, "feed-forward width", kMaxDim, p.ffn_dim));
  ATELIER_CHECK_OK(apply_override(o.context_length, "context", kMaxVocab, p.context_length));
  ATELIER_TRY(p.vocab_size, synth_vocab_size(options, p.vocab_size, tokenizer_size));
  if (p.d_model % p.n_heads != 0)
    return fail(ErrorCode::kInvalidArgument,
                "synth: expected a width in multiples of the heads, found {} and {}", p.d_model, p.n_heads);
  return p;
}

nlohmann::json hf_config(const Gpt2Preset& p) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", kNormEps},
          {"n_ctx", p.context_length},
          {"n_embd", p.d_model},
          {"n_head", p.n_heads},
          {"n_inner", p.ffn_dim},
          {"n_layer", p.n_layers},
          {"n_positions", p.context_length},
          {"vocab_size", p.vocab_size}};
}

nlohmann::json gguf_config(const Gpt2Preset& p) {
  return {{"general.architecture", "gpt2"},
          {"general.name", fmt::format("synthetic gpt2 {}", p.name)},
          {"gpt2.block_count", p.n_layers},
          {"gpt2.context_length", p.context_length},
          {"gpt2.embedding_length", p.d_model},
          {"gpt2.feed_forward_length", p.ffn_dim},
          {"gpt2.attention.head_count", p.n_heads},
          {"gpt2.attention.layer_norm_epsilon", static_cast<float>(kNormEps)}};
}

Result<SynthPlan> plan_gpt2(const SynthOptions& options, uint64_t tokenizer_size) {
  if (options.dialect == Dialect::kOriginal)
    return fail(ErrorCode::kInvalidArgument,
                "synth: gpt2: expected dialect gguf or hf, found original (TensorFlow's is not read)");
  ATELIER_TRY(const Gpt2Preset p, changed_preset(options, tokenizer_size));
  Gpt2Config config;
  config.n_layers = p.n_layers;
  config.d_model = p.d_model;
  config.n_heads = p.n_heads;
  config.ffn_dim = p.ffn_dim;
  config.vocab_size = p.vocab_size;
  config.context_length = p.context_length;
  auto weights = std::make_shared<Gpt2Weights>();
  SynthPlan plan;
  plan.table = gpt2_table(config, *weights);
  plan.weights = std::move(weights);
  plan.vocab_size = p.vocab_size;
  plan.tied_head = true;
  const bool gguf = options.dialect == Dialect::kGguf;
  plan.config = gguf ? gguf_config(p) : hf_config(p);
  plan.matrices = gguf ? DType::kF16 : DType::kF32;
  plan.vectors = DType::kF32;
  return plan;
}

std::vector<std::string_view> presets() {
  std::vector<std::string_view> names;
  for (const Gpt2Preset& preset : kPresets) names.push_back(preset.name);
  return names;
}

SynthTokens tokens() {
  return {.specials = {"<|endoftext|>"}, .bos = "", .ends = {"<|endoftext|>"}, .pre = "gpt-2"};
}

constexpr SynthArchitecture kGpt2{"gpt2", presets, tokens, plan_gpt2};

}  // namespace

const SynthArchitecture& synth_gpt2() { return kGpt2; }

}  // namespace atelier
