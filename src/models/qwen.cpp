#include "models/qwen.h"

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

constexpr std::string_view kQwen3 = "qwen3";

Status check_config(const QwenConfig& c) {
  if (c.n_heads % c.kv_heads != 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: expected the {} heads to be a multiple of the key-value heads, found {}",
                c.n_heads, c.kv_heads);
  if (c.head_dim % 2 != 0)
    return fail(ErrorCode::kCorrupt, "configuration: expected an even head size, found {}", c.head_dim);
  return {};
}

// Windows are published but switched off in all released models; where they are on, the first
// max_window_layers see everything.
Result<std::vector<size_t>> windows_from_hf(const ConfigReader& config, size_t n_layers) {
  std::vector<size_t> windows(n_layers, 0);
  ATELIER_TRY(const bool sliding, config.flag_or("use_sliding_window", false));
  if (!sliding) return windows;
  ATELIER_TRY(const uint64_t window, config.size("sliding_window", kMaxVocab));
  ATELIER_TRY(const double full_layers, config.number_or("max_window_layers", 28));
  for (size_t i = 0; i < n_layers; ++i)
    if (static_cast<double>(i) >= full_layers) windows[i] = window;
  return windows_from_layer_types(config, n_layers, window, windows);
}

Result<QwenConfig> config_from_hf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  QwenConfig c;
  c.qk_norm = checkpoint.architecture() == kQwen3;
  ATELIER_TRY(c.n_layers, config.size("num_hidden_layers", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("hidden_size", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("num_attention_heads", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("num_key_value_heads", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim, config.size_or("head_dim", kMaxDim, std::max<size_t>(1, c.d_model / c.n_heads)));
  ATELIER_TRY(c.ffn_dim, config.size("intermediate_size", kMaxDim));
  ATELIER_TRY(c.vocab_size, config.size("vocab_size", kMaxVocab));
  ATELIER_TRY(c.context_length, config.size_or("max_position_embeddings", kMaxVocab, 32768));
  ATELIER_TRY(const double eps, config.number_or("rms_norm_eps", 1e-6));
  ATELIER_TRY(const std::string activation, config.text_or("hidden_act", "silu"));
  if (activation != "silu")
    return fail(ErrorCode::kUnsupported, "configuration: hidden_act: expected silu, found '{}'", activation);
  ATELIER_CHECK_OK(check_config(c));
  ATELIER_TRY(c.windows, windows_from_hf(config, c.n_layers));
  ATELIER_TRY(c.rope, rope_from_config_json(config, c.head_dim));
  c.norm_eps = static_cast<float>(eps);
  return c;
}

Result<QwenConfig> config_from_gguf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), std::string(checkpoint.architecture()) + ".");
  QwenConfig c;
  c.qk_norm = checkpoint.architecture() == kQwen3;
  ATELIER_TRY(c.n_layers, config.size("block_count", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("embedding_length", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("attention.head_count", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("attention.head_count_kv", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim,
              config.size_or("attention.key_length", kMaxDim, std::max<size_t>(1, c.d_model / c.n_heads)));
  ATELIER_TRY(c.ffn_dim, config.size("feed_forward_length", kMaxDim));
  ATELIER_TRY(c.context_length, config.size("context_length", kMaxVocab));
  ATELIER_TRY(const double eps, config.number("attention.layer_norm_rms_epsilon"));
  const TensorView* embedding = checkpoint.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "tensor token_embd.weight: expected shape [vocabulary, {}], found no such tensor", c.d_model);
  c.vocab_size = embedding->shape[0];
  c.norm_eps = static_cast<float>(eps);
  c.windows.assign(c.n_layers, 0);
  ATELIER_CHECK_OK(check_config(c));
  ATELIER_TRY(c.rope, rope_from_gguf(config, c.head_dim, c.context_length));
  return c;
}

Result<QwenConfig> read_config(const Checkpoint& checkpoint) {
  switch (checkpoint.dialect()) {
    case Dialect::kGguf:
      return config_from_gguf(checkpoint);
    case Dialect::kHf:
      return config_from_hf(checkpoint);
    case Dialect::kOriginal:
      break;
  }
  return fail(ErrorCode::kUnsupported, "Qwen: expected a GGUF file or a Hugging Face folder, found {}",
              dialect_name(checkpoint.dialect()));
}

class Qwen final : public Model {
 public:
  Qwen(std::shared_ptr<const Checkpoint> checkpoint, QwenConfig config)
      : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Status load(const LoadOptions& options) {
    const WeightTable table = qwen_table(config_, weights_);
    ATELIER_CHECK_OK(table.load(*checkpoint_, owned_, options));
    ModelInfo& info = info_;
    info.architecture = checkpoint_->architecture();
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
    for (QwenLayer& layer : weights_.layers)
      all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down});
    all.push_back(&weights_.head);
    return all;
  }

  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    const QwenConfig& c = config_;
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
    const auto angles = ops::rope_angles(ctx, batch.positions, {c.rope.frequencies, c.rope.scale});
    const ops::Activations kv_activations = key_value_activations(c.n_heads, c.kv_heads);

    ops::embed(ctx, weights_.embedding, batch.tokens, x);
    for (size_t i = 0; i < c.n_layers; ++i) {
      const QwenLayer& layer = weights_.layers[i];
      const ops::AttentionShape shape = attention_shape(batch.kv_type, c.windows[i]);
      ops::rms_norm(ctx, x, layer.attn_norm, c.norm_eps, normed);
      ops::linear_group(ctx, normed,
                        {{&layer.q, layer.q_bias, q},
                         {&layer.k, layer.k_bias, k, kv_activations},
                         {&layer.v, layer.v_bias, v, kv_activations}});
      if (c.qk_norm) {
        ops::rms_norm(ctx, q_heads, layer.q_norm, c.norm_eps, q_heads);
        ops::rms_norm(ctx, k_heads, layer.k_norm, c.norm_eps, k_heads);
      }
      ops::rope(ctx, q, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::rope(ctx, k, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::kv_append(ctx, shape, k, v, batch.kv[i]);
      ops::attention(ctx, shape, q, {}, batch.kv[i], attn_out);
      const bool is_last = i + 1 == c.n_layers;
      if (is_last) keep_logit_rows(ctx, batch.logit_rows, {&x, &attn_out}, {&normed, &gate, &up});
      ops::linear(ctx, attn_out, layer.o, {}, normed);
      ops::add_rms_norm(ctx, x, normed, layer.ffn_norm, c.norm_eps, normed);

      const ops::Activations activations = ffn_activations(is_last);
      ops::linear_group(ctx, normed,
                        {{&layer.gate, {}, gate, activations}, {&layer.up, {}, up, activations}});
      ops::swiglu(ctx, gate, up, gate);
      ops::linear(ctx, gate, layer.down, {}, normed, activations);
      ops::add(ctx, x, normed);
    }
    ops::rms_norm(ctx, x, weights_.norm, c.norm_eps, x);
    output(ctx, batch, x, weights_.head, logits);
  }

 private:
  ops::AttentionShape attention_shape(KvType type, size_t window) const {
    const QwenConfig& c = config_;
    ops::AttentionShape shape;
    shape.kv = {.kv_heads = c.kv_heads, .k_dim = c.head_dim, .v_dim = c.head_dim, .type = type};
    shape.n_heads = c.n_heads;
    shape.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    shape.window = window;
    return shape;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  QwenConfig config_;
  QwenWeights weights_;
  std::vector<RawBuffer> owned_;
  ModelInfo info_;
};

}  // namespace

WeightTable qwen_table(const QwenConfig& c, QwenWeights& weights) {
  // Qwen2 has biases and no head norms, Qwen3 the other way round.
  const VectorOptions bias{.presence = c.qk_norm ? Presence::kOptional : Presence::kRequired};
  weights.layers.resize(c.n_layers);
  WeightTable t;
  t.matrix(weights.embedding, {"token_embd.weight", "model.embed_tokens.weight", {}}, c.vocab_size, c.d_model,
           {.streamed = false});
  for (size_t i = 0; i < c.n_layers; ++i) {
    QwenLayer& l = weights.layers[i];
    const std::string gguf = fmt::format("blk.{}.", i), hf = fmt::format("model.layers.{}.", i);
    const auto names = [&](const char* in_gguf, const char* in_hf) {
      return Sources{gguf + in_gguf, hf + in_hf, {}};
    };
    t.vector(l.attn_norm, names("attn_norm.weight", "input_layernorm.weight"), c.d_model);
    t.matrix(l.q, names("attn_q.weight", "self_attn.q_proj.weight"), c.q_dim(), c.d_model);
    t.matrix(l.k, names("attn_k.weight", "self_attn.k_proj.weight"), c.kv_dim(), c.d_model);
    t.matrix(l.v, names("attn_v.weight", "self_attn.v_proj.weight"), c.kv_dim(), c.d_model);
    t.matrix(l.o, names("attn_output.weight", "self_attn.o_proj.weight"), c.d_model, c.q_dim());
    t.vector(l.q_bias, names("attn_q.bias", "self_attn.q_proj.bias"), c.q_dim(), bias);
    t.vector(l.k_bias, names("attn_k.bias", "self_attn.k_proj.bias"), c.kv_dim(), bias);
    t.vector(l.v_bias, names("attn_v.bias", "self_attn.v_proj.bias"), c.kv_dim(), bias);
    if (c.qk_norm) {
      t.vector(l.q_norm, names("attn_q_norm.weight", "self_attn.q_norm.weight"), c.head_dim);
      t.vector(l.k_norm, names("attn_k_norm.weight", "self_attn.k_norm.weight"), c.head_dim);
    }
    t.vector(l.ffn_norm, names("ffn_norm.weight", "post_attention_layernorm.weight"), c.d_model);
    t.matrix(l.gate, names("ffn_gate.weight", "mlp.gate_proj.weight"), c.ffn_dim, c.d_model);
    t.matrix(l.up, names("ffn_up.weight", "mlp.up_proj.weight"), c.ffn_dim, c.d_model);
    t.matrix(l.down, names("ffn_down.weight", "mlp.down_proj.weight"), c.d_model, c.ffn_dim);
  }
  t.vector(weights.norm, {"output_norm.weight", "model.norm.weight", {}}, c.d_model);
  t.matrix(weights.head, {"output.weight", "lm_head.weight", {}}, c.vocab_size, c.d_model,
           {.presence = Presence::kOptional});
  return t;
}

Result<std::unique_ptr<Model>> load_qwen(std::shared_ptr<const Checkpoint> checkpoint,
                                         const LoadOptions& options) {
  ATELIER_TRY(QwenConfig config, read_config(*checkpoint));
  auto model = std::make_unique<Qwen>(std::move(checkpoint), std::move(config));
  ATELIER_CHECK_OK(model->load(options));
  return model;
}

}  // namespace atelier
