#include "models/gemma3.h"

#include <cmath>

#include "models/blocks/attention_windows.h"
#include "models/blocks/output.h"
#include "models/blocks/precision.h"
#include "models/blocks/totals.h"
#include "models/config_reader.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"

namespace atelier {
namespace {

constexpr double kGlobalBase = 1e6, kLocalBase = 1e4;
// Five layers of windows, then one that sees everything.
constexpr uint64_t kWindowPeriod = 6;

Status check_config(const Gemma3Config& c) {
  if (c.n_heads % c.kv_heads != 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: expected the {} heads to be a multiple of the key-value heads, found {}",
                c.n_heads, c.kv_heads);
  if (c.head_dim % 2 != 0)
    return fail(ErrorCode::kCorrupt, "configuration: expected an even head size, found {}", c.head_dim);
  return {};
}

Status check_variant(const ConfigReader& config) {
  ATELIER_TRY(const std::string activation, config.text_or("hidden_activation", "gelu_pytorch_tanh"));
  if (activation != "gelu_pytorch_tanh")
    return fail(ErrorCode::kUnsupported,
                "configuration: hidden_activation: expected gelu_pytorch_tanh, found '{}'", activation);
  ATELIER_TRY(const bool bidirectional, config.flag_or("use_bidirectional_attention", false));
  if (bidirectional || config.has("final_logit_softcapping"))
    return fail(ErrorCode::kUnsupported,
                "configuration: expected causal attention and uncapped logits, found "
                "use_bidirectional_attention {}, final_logit_softcapping {}",
                bidirectional, config.has("final_logit_softcapping"));
  return {};
}

// Newer transformers give each kind of layer its own parameters, older ones a base each and scaling for the
// layers that see everything.
Status read_ropes(const ConfigReader& config, Gemma3Config& c) {
  const auto parameters = config.object("rope_parameters");
  const auto global = parameters ? parameters->object("full_attention") : std::nullopt;
  const auto local = parameters ? parameters->object("sliding_attention") : std::nullopt;
  if (global && local) {
    ATELIER_TRY(c.global_rope, rope_from_parameters(*global, c.head_dim, {.base = kGlobalBase}));
    ATELIER_TRY(c.local_rope, rope_from_parameters(*local, c.head_dim, {.base = kLocalBase}));
    return {};
  }
  ATELIER_TRY(c.global_rope, rope_from_config_json(config, c.head_dim, {.base = kGlobalBase}));
  ATELIER_TRY(const double base, config.number_or("rope_local_base_freq", kLocalBase));
  if (base <= 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: rope_local_base_freq: expected a positive number, found {}", base);
  c.local_rope.frequencies = rope_frequencies(base, c.head_dim);
  return {};
}

// The image-and-text models keep the text model's numbers, as far as they differ from the defaults of
// transformers' Gemma3TextConfig, in an object of their own.
Result<Gemma3Config> config_from_hf(const Checkpoint& checkpoint) {
  const ConfigReader whole(checkpoint.metadata(), "");
  const ConfigReader config = whole.object("text_config").value_or(whole);
  Gemma3Config c;
  ATELIER_TRY(c.n_layers, config.size_or("num_hidden_layers", kMaxLayers, 26));
  ATELIER_TRY(c.d_model, config.size_or("hidden_size", kMaxDim, 2304));
  ATELIER_TRY(c.n_heads, config.size_or("num_attention_heads", kMaxDim, 8));
  ATELIER_TRY(c.kv_heads, config.size_or("num_key_value_heads", kMaxDim, 4));
  ATELIER_TRY(c.head_dim, config.size_or("head_dim", kMaxDim, 256));
  ATELIER_TRY(c.ffn_dim, config.size_or("intermediate_size", kMaxDim, 9216));
  ATELIER_TRY(c.vocab_size, config.size_or("vocab_size", kMaxVocab, 262208));
  ATELIER_TRY(c.context_length, config.size_or("max_position_embeddings", kMaxVocab, 131072));
  ATELIER_TRY(const uint64_t window, config.size_or("sliding_window", kMaxVocab, 4096));
  ATELIER_TRY(const uint64_t old_period,
              config.size_or("_sliding_window_pattern", kMaxLayers, kWindowPeriod));
  ATELIER_TRY(const uint64_t period, config.size_or("sliding_window_pattern", kMaxLayers, old_period));
  ATELIER_TRY(const double eps, config.number_or("rms_norm_eps", 1e-6));
  ATELIER_TRY(const double scalar, config.number_or("query_pre_attn_scalar", 256));
  ATELIER_TRY(const double softcap, config.number_or("attn_logit_softcapping", 0));
  if (scalar <= 0 || softcap < 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: query_pre_attn_scalar and attn_logit_softcapping: expected positive numbers, "
                "found {} and {}",
                scalar, softcap);
  ATELIER_CHECK_OK(check_variant(config));
  ATELIER_CHECK_OK(check_config(c));
  ATELIER_TRY(c.windows, windows_from_layer_types(config, c.n_layers, window,
                                                  periodic_windows(c.n_layers, window, period)));
  ATELIER_CHECK_OK(read_ropes(config, c));
  c.norm_eps = static_cast<float>(eps);
  c.attention_scale = static_cast<float>(1 / std::sqrt(scalar));
  c.softcap = static_cast<float>(softcap);
  for (const char* prefix : {"language_model.model.", "model.language_model."})
    if (checkpoint.find(prefix + std::string("embed_tokens.weight")) != nullptr) c.hf_prefix = prefix;
  return c;
}

Result<Gemma3Config> config_from_gguf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), std::string(checkpoint.architecture()) + ".");
  Gemma3Config c;
  ATELIER_TRY(c.n_layers, config.size("block_count", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("embedding_length", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("attention.head_count", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("attention.head_count_kv", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim, config.size_or("attention.key_length", kMaxDim, 256));
  ATELIER_TRY(c.ffn_dim, config.size("feed_forward_length", kMaxDim));
  ATELIER_TRY(c.context_length, config.size("context_length", kMaxVocab));
  ATELIER_TRY(const uint64_t window, config.size("attention.sliding_window", kMaxVocab));
  ATELIER_TRY(const double eps, config.number("attention.layer_norm_rms_epsilon"));
  ATELIER_TRY(const double local_base, config.number_or("rope.freq_base_swa", kLocalBase));
  if (local_base <= 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: rope.freq_base_swa: expected a positive number, found {}", local_base);
  if (config.has("final_logit_softcapping"))
    return fail(ErrorCode::kUnsupported, "configuration: final_logit_softcapping: expected none, found one");
  const TensorView* embedding = checkpoint.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "tensor token_embd.weight: expected shape [vocabulary, {}], found no such tensor", c.d_model);
  c.vocab_size = embedding->shape[0];
  ATELIER_CHECK_OK(check_config(c));
  c.norm_eps = static_cast<float>(eps);
  c.windows = periodic_windows(c.n_layers, window, kWindowPeriod);
  ATELIER_TRY(c.global_rope, rope_from_gguf(config, c.head_dim, c.context_length, {.base = kGlobalBase}));
  c.local_rope.frequencies = rope_frequencies(local_base, c.head_dim);
  // GGUF has no key for query_pre_attn_scalar. It is the head size, except in the 27b model, which is known
  // by its layers, where it is the width per head.
  constexpr size_t kLayersOf27b = 62;
  const size_t scalar = c.n_layers == kLayersOf27b ? c.d_model / c.n_heads : c.head_dim;
  c.attention_scale = 1 / std::sqrt(static_cast<float>(std::max<size_t>(1, scalar)));
  return c;
}

Result<Gemma3Config> read_config(const Checkpoint& checkpoint) {
  switch (checkpoint.dialect()) {
    case Dialect::kGguf:
      return config_from_gguf(checkpoint);
    case Dialect::kHf:
      return config_from_hf(checkpoint);
    case Dialect::kOriginal:
      break;
  }
  return fail(ErrorCode::kUnsupported, "Gemma 3: expected a GGUF file or a Hugging Face folder, found {}",
              dialect_name(checkpoint.dialect()));
}

class Gemma3 final : public Model {
 public:
  Gemma3(std::shared_ptr<const Checkpoint> checkpoint, Gemma3Config config)
      : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Status load(const LoadOptions& options) {
    const WeightTable table = gemma3_table(config_, weights_);
    ATELIER_CHECK_OK(table.load(*checkpoint_, owned_, options));
    ModelInfo& info = info_;
    info.architecture = "gemma3";
    info.n_layers = config_.n_layers;
    info.d_model = config_.d_model;
    info.vocab_size = config_.vocab_size;
    info.context_length = config_.context_length;
    for (const size_t window : config_.windows)
      info.cache.push_back({.geometry = attention_shape(KvType::kF16, window).kv, .window = window});
    ATELIER_TRY(info.stop_tokens, published_stop_tokens(*checkpoint_));
    add_totals(table, *checkpoint_, info);
    tie_head(weights_.embedding, weights_.head, info);
    return {};
  }

  const ModelInfo& info() const override { return info_; }

  std::vector<Weight*> multiplied_weights() override {
    std::vector<Weight*> all;
    for (Gemma3Layer& layer : weights_.layers)
      all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down});
    all.push_back(&weights_.head);
    return all;
  }

  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    const Gemma3Config& c = config_;
    const size_t n_tokens = batch.tokens.size();
    Arena& arena = ctx.arena();
    ctx.begin_pass(n_tokens);
    auto x = arena.take_mat(n_tokens, c.d_model);  // the residual stream
    auto normed = arena.take_mat(n_tokens, c.d_model);
    const auto q = arena.take_mat(n_tokens, c.q_dim());
    const auto k = arena.take_mat(n_tokens, c.kv_dim());
    const auto v = arena.take_mat(n_tokens, c.kv_dim());
    auto attn_out = arena.take_mat(n_tokens, c.q_dim());
    auto gate = arena.take_mat(n_tokens, c.ffn_dim);
    auto up = arena.take_mat(n_tokens, c.ffn_dim);
    const MatView<float> q_heads(q.data, n_tokens * c.n_heads, c.head_dim);
    const MatView<float> k_heads(k.data, n_tokens * c.kv_heads, c.head_dim);
    const auto global =
        ops::rope_angles(ctx, batch.positions, {c.global_rope.frequencies, c.global_rope.scale});
    const auto local = ops::rope_angles(ctx, batch.positions, {c.local_rope.frequencies, c.local_rope.scale});
    const ops::Activations kv_activations = key_value_activations(c.n_heads, c.kv_heads);

    embed(ctx, batch.tokens, x);
    for (size_t i = 0; i < c.n_layers; ++i) {
      const Gemma3Layer& layer = weights_.layers[i];
      const ops::AttentionShape shape = attention_shape(batch.kv_type, c.windows[i]);
      const ops::RopeAngles& angles = c.windows[i] == 0 ? global : local;
      ops::rms_norm(ctx, x, layer.attn_norm, c.norm_eps, normed);
      ops::linear_group(
          ctx, normed,
          {{&layer.q, {}, q}, {&layer.k, {}, k, kv_activations}, {&layer.v, {}, v, kv_activations}});
      ops::rms_norm(ctx, q_heads, layer.q_norm, c.norm_eps, q_heads);
      ops::rms_norm(ctx, k_heads, layer.k_norm, c.norm_eps, k_heads);
      ops::rope(ctx, q, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::rope(ctx, k, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::kv_append(ctx, shape, k, v, batch.kv[i]);
      ops::attention(ctx, shape, q, {}, batch.kv[i], attn_out);
      const bool is_last = i + 1 == c.n_layers;
      if (is_last) keep_logit_rows(ctx, batch.logit_rows, {&x, &attn_out}, {&normed, &gate, &up});
      ops::linear(ctx, attn_out, layer.o, {}, normed);
      ops::rms_norm(ctx, normed, layer.post_attn_norm, c.norm_eps, normed);
      ops::add_rms_norm(ctx, x, normed, layer.ffn_norm, c.norm_eps, normed);

      const ops::Activations activations = ffn_activations(is_last);
      ops::linear_group(ctx, normed,
                        {{&layer.gate, {}, gate, activations}, {&layer.up, {}, up, activations}});
      ops::geglu_tanh(ctx, gate, up, gate);
      ops::linear(ctx, gate, layer.down, {}, normed, activations);
      ops::rms_norm(ctx, normed, layer.post_ffn_norm, c.norm_eps, normed);
      ops::add(ctx, x, normed);
    }
    ops::rms_norm(ctx, x, weights_.norm, c.norm_eps, x);
    output(ctx, batch, x, weights_.head, logits);
  }

 private:
  // Embeddings enter the residual stream times √d_model.
  void embed(Context& ctx, std::span<const TokenId> tokens, MatView<float> x) const {
    ops::embed(ctx, weights_.embedding, tokens, x);
    const float scale = std::sqrt(static_cast<float>(config_.d_model));
    for (size_t m = 0; m < x.rows; ++m)
      for (float& value : x.row(m)) value *= scale;
  }

  ops::AttentionShape attention_shape(KvType type, size_t window) const {
    const Gemma3Config& c = config_;
    ops::AttentionShape shape;
    shape.kv = {.kv_heads = c.kv_heads, .k_dim = c.head_dim, .v_dim = c.head_dim, .type = type};
    shape.n_heads = c.n_heads;
    shape.scale = c.attention_scale;
    shape.window = window;
    shape.softcap = c.softcap;
    return shape;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Gemma3Config config_;
  Gemma3Weights weights_;
  std::vector<RawBuffer> owned_;
  ModelInfo info_;
};

}  // namespace

WeightTable gemma3_table(const Gemma3Config& c, Gemma3Weights& weights) {
  // Hugging Face's files hold norm weights less one.
  const VectorOptions norm{.hf_offset = 1};
  weights.layers.resize(c.n_layers);
  WeightTable t;
  const auto outer = [&](const char* in_gguf, const char* in_hf) {
    return Sources{in_gguf, c.hf_prefix + in_hf, {}};
  };
  t.matrix(weights.embedding, outer("token_embd.weight", "embed_tokens.weight"), c.vocab_size, c.d_model,
           {.streamed = false});
  for (size_t i = 0; i < c.n_layers; ++i) {
    Gemma3Layer& l = weights.layers[i];
    const std::string gguf = fmt::format("blk.{}.", i), hf = fmt::format("{}layers.{}.", c.hf_prefix, i);
    const auto names = [&](const char* in_gguf, const char* in_hf) {
      return Sources{gguf + in_gguf, hf + in_hf, {}};
    };
    t.vector(l.attn_norm, names("attn_norm.weight", "input_layernorm.weight"), c.d_model, norm);
    t.matrix(l.q, names("attn_q.weight", "self_attn.q_proj.weight"), c.q_dim(), c.d_model);
    t.matrix(l.k, names("attn_k.weight", "self_attn.k_proj.weight"), c.kv_dim(), c.d_model);
    t.matrix(l.v, names("attn_v.weight", "self_attn.v_proj.weight"), c.kv_dim(), c.d_model);
    t.matrix(l.o, names("attn_output.weight", "self_attn.o_proj.weight"), c.d_model, c.q_dim());
    t.vector(l.q_norm, names("attn_q_norm.weight", "self_attn.q_norm.weight"), c.head_dim, norm);
    t.vector(l.k_norm, names("attn_k_norm.weight", "self_attn.k_norm.weight"), c.head_dim, norm);
    t.vector(l.post_attn_norm, names("post_attention_norm.weight", "post_attention_layernorm.weight"),
             c.d_model, norm);
    t.vector(l.ffn_norm, names("ffn_norm.weight", "pre_feedforward_layernorm.weight"), c.d_model, norm);
    t.matrix(l.gate, names("ffn_gate.weight", "mlp.gate_proj.weight"), c.ffn_dim, c.d_model);
    t.matrix(l.up, names("ffn_up.weight", "mlp.up_proj.weight"), c.ffn_dim, c.d_model);
    t.matrix(l.down, names("ffn_down.weight", "mlp.down_proj.weight"), c.d_model, c.ffn_dim);
    t.vector(l.post_ffn_norm, names("post_ffw_norm.weight", "post_feedforward_layernorm.weight"), c.d_model,
             norm);
  }
  t.vector(weights.norm, outer("output_norm.weight", "norm.weight"), c.d_model, norm);
  t.matrix(weights.head, {"output.weight", "lm_head.weight", {}}, c.vocab_size, c.d_model,
           {.presence = Presence::kOptional});
  return t;
}

Result<std::unique_ptr<Model>> load_gemma3(std::shared_ptr<const Checkpoint> checkpoint,
                                           const LoadOptions& options) {
  ATELIER_TRY(Gemma3Config config, read_config(*checkpoint));
  auto model = std::make_unique<Gemma3>(std::move(checkpoint), std::move(config));
  ATELIER_CHECK_OK(model->load(options));
  return model;
}

}  // namespace atelier
