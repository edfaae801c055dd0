#include "models/llama.h"

#include <cmath>

#include "formats/decode.h"
#include "models/blocks/output.h"
#include "models/blocks/precision.h"
#include "models/blocks/totals.h"
#include "models/config_reader.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"

namespace atelier {
namespace {

Status check_heads(const LlamaConfig& c) {
  if (c.n_heads % c.kv_heads != 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: expected the {} heads to be a multiple of the key-value heads, found {}",
                c.n_heads, c.kv_heads);
  if (c.head_dim % 2 != 0)
    return fail(ErrorCode::kCorrupt, "configuration: expected an even head size, found {}", c.head_dim);
  return {};
}

Result<LlamaConfig> config_from_hf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  LlamaConfig c;
  ATELIER_TRY(c.n_layers, config.size("num_hidden_layers", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("hidden_size", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("num_attention_heads", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("num_key_value_heads", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim, config.size_or("head_dim", kMaxDim, std::max<size_t>(1, c.d_model / c.n_heads)));
  ATELIER_TRY(c.ffn_dim, config.size("intermediate_size", kMaxDim));
  ATELIER_TRY(c.vocab_size, config.size("vocab_size", kMaxVocab));
  ATELIER_TRY(c.context_length, config.size_or("max_position_embeddings", kMaxVocab, 2048));
  ATELIER_TRY(const double eps, config.number_or("rms_norm_eps", 1e-6));
  ATELIER_TRY(const std::string activation, config.text_or("hidden_act", "silu"));
  if (activation != "silu")
    return fail(ErrorCode::kUnsupported, "configuration: hidden_act: expected silu, found '{}'", activation);
  ATELIER_CHECK_OK(check_heads(c));
  ATELIER_TRY(c.rope, rope_from_config_json(config, c.head_dim));
  c.norm_eps = static_cast<float>(eps);
  return c;
}

// Llama 3 GGUFs carry the wavelength scaling as a tensor of divisors, one per rotary pair.
Status apply_rope_freqs(const Checkpoint& checkpoint, RopeConfig& rope) {
  const TensorView* divisors = checkpoint.find("rope_freqs.weight");
  if (divisors == nullptr) return {};
  if (divisors->dtype != DType::kF32 || divisors->shape != Shape{rope.frequencies.size()})
    return fail(ErrorCode::kCorrupt, "tensor rope_freqs.weight: expected F32 [{}], found {} {}",
                rope.frequencies.size(), dtype_info(divisors->dtype).name, divisors->shape.to_string());
  std::vector<float> values(rope.frequencies.size());
  decode_row(DType::kF32, divisors->bytes, values);
  return divide_frequencies(rope.frequencies, values);
}

Result<LlamaConfig> config_from_gguf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), std::string(checkpoint.architecture()) + ".");
  LlamaConfig c;
  ATELIER_TRY(c.n_layers, config.size("block_count", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("embedding_length", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("attention.head_count", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("attention.head_count_kv", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim,
              config.size_or("attention.key_length", kMaxDim, std::max<size_t>(1, c.d_model / c.n_heads)));
  ATELIER_TRY(c.ffn_dim, config.size("feed_forward_length", kMaxDim));
  ATELIER_TRY(c.context_length, config.size("context_length", kMaxVocab));
  ATELIER_TRY(const double eps, config.number("attention.layer_norm_rms_epsilon"));
  ATELIER_TRY(const uint64_t rotary_dim, config.size_or("rope.dimension_count", c.head_dim, c.head_dim));
  if (rotary_dim != c.head_dim)
    return fail(ErrorCode::kUnsupported,
                "configuration: rope.dimension_count: expected the head size {}, found {}", c.head_dim,
                rotary_dim);
  const TensorView* embedding = checkpoint.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "tensor token_embd.weight: expected shape [vocabulary, {}], found no such tensor", c.d_model);
  c.vocab_size = embedding->shape[0];
  c.norm_eps = static_cast<float>(eps);
  ATELIER_CHECK_OK(check_heads(c));
  ATELIER_TRY(c.rope, rope_from_gguf(config, c.head_dim, c.context_length));
  ATELIER_CHECK_OK(apply_rope_freqs(checkpoint, c.rope));
  return c;
}

// Meta's params.json leaves out what its code derives: the feed-forward width and, in old files, the
// vocabulary.
Result<LlamaConfig> config_from_meta(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  LlamaConfig c;
  ATELIER_TRY(c.n_layers, config.size("n_layers", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("dim", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("n_heads", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("n_kv_heads", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim, config.size_or("head_dim", kMaxDim, std::max<size_t>(1, c.d_model / c.n_heads)));
  const TensorView* embedding = checkpoint.find("tok_embeddings.weight");
  const TensorView* gate = checkpoint.find("layers.0.feed_forward.w1.weight");
  if (embedding == nullptr || gate == nullptr || embedding->shape.rank != 2 || gate->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "expected matrices tok_embeddings.weight and layers.0.feed_forward.w1.weight, found none");
  c.vocab_size = embedding->shape[0];
  c.ffn_dim = gate->shape[0];
  ATELIER_TRY(const double eps, config.number_or("norm_eps", 1e-5));
  ATELIER_TRY(const double base, config.number_or("rope_theta", 10000));
  ATELIER_TRY(const bool scaled, config.flag_or("use_scaled_rope", false));
  if (base <= 0)
    return fail(ErrorCode::kCorrupt, "configuration: rope_theta: expected a positive number, found {}", base);
  c.norm_eps = static_cast<float>(eps);
  ATELIER_CHECK_OK(check_heads(c));
  c.rope.frequencies = rope_frequencies(base, c.head_dim);
  // Contexts are not published in params.json: 131072 for scaled (3.1 and later), else what each generation
  // was trained on.
  c.context_length = scaled ? 131072 : base > 10000 ? 8192 : 4096;
  if (scaled) {
    Llama3Scaling scaling;
    ATELIER_TRY(scaling.factor, config.number_or("rope_scaling_factor", scaling.factor));
    ATELIER_TRY(scaling.high_freq_factor,
                config.number_or("rope_high_freq_factor", scaling.high_freq_factor));
    scale_llama3(c.rope.frequencies, scaling);
  }
  return c;
}

Result<LlamaConfig> read_config(const Checkpoint& checkpoint) {
  switch (checkpoint.dialect()) {
    case Dialect::kGguf:
      return config_from_gguf(checkpoint);
    case Dialect::kHf:
      return config_from_hf(checkpoint);
    case Dialect::kOriginal:
      return config_from_meta(checkpoint);
  }
  return fail(ErrorCode::kUnsupported, "unknown checkpoint dialect");
}

class Llama final : public Model {
 public:
  Llama(std::shared_ptr<const Checkpoint> checkpoint, LlamaConfig config)
      : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Status load(const LoadOptions& options) {
    const WeightTable table = llama_table(config_, weights_);
    ATELIER_CHECK_OK(table.load(*checkpoint_, owned_, options));
    ModelInfo& info = info_;
    info.architecture = "llama";
    info.n_layers = config_.n_layers;
    info.d_model = config_.d_model;
    info.vocab_size = config_.vocab_size;
    info.context_length = config_.context_length;
    info.cache.assign(config_.n_layers,
                      LayerCache{.geometry = attention_shape(KvType::kF16).kv, .window = 0});
    ATELIER_TRY(info.stop_tokens, published_stop_tokens(*checkpoint_));
    add_totals(table, *checkpoint_, info);
    tie_head(weights_.embedding, weights_.head, info);
    return {};
  }

  const ModelInfo& info() const override { return info_; }

  std::vector<Weight*> multiplied_weights() override {
    std::vector<Weight*> all;
    for (LlamaLayer& layer : weights_.layers)
      all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down});
    all.push_back(&weights_.head);
    return all;
  }

  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    const LlamaConfig& c = config_;
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
    const ops::AttentionShape shape = attention_shape(batch.kv_type);
    const auto angles = ops::rope_angles(ctx, batch.positions, {c.rope.frequencies, c.rope.scale});
    const ops::Activations kv_activations = key_value_activations(c.n_heads, c.kv_heads);

    ops::embed(ctx, weights_.embedding, batch.tokens, x);
    for (size_t i = 0; i < c.n_layers; ++i) {
      const LlamaLayer& layer = weights_.layers[i];
      ops::rms_norm(ctx, x, layer.attn_norm, c.norm_eps, normed);
      ops::linear_group(ctx, normed,
                        {{&layer.q, layer.q_bias, q},
                         {&layer.k, layer.k_bias, k, kv_activations},
                         {&layer.v, layer.v_bias, v, kv_activations}});
      ops::rope(ctx, q, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::rope(ctx, k, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::kv_append(ctx, shape, k, v, batch.kv[i]);
      ops::attention(ctx, shape, q, {}, batch.kv[i], attn_out);
      const bool is_last = i + 1 == c.n_layers;
      if (is_last) keep_logit_rows(ctx, batch.logit_rows, {&x, &attn_out}, {&normed, &gate, &up});
      ops::linear(ctx, attn_out, layer.o, layer.o_bias, normed);
      ops::add(ctx, x, normed);

      ops::rms_norm(ctx, x, layer.ffn_norm, c.norm_eps, normed);
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
  ops::AttentionShape attention_shape(KvType type) const {
    const LlamaConfig& c = config_;
    ops::AttentionShape shape;
    shape.kv = {.kv_heads = c.kv_heads, .k_dim = c.head_dim, .v_dim = c.head_dim, .type = type};
    shape.n_heads = c.n_heads;
    shape.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    return shape;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  LlamaConfig config_;
  LlamaWeights weights_;
  std::vector<RawBuffer> owned_;
  ModelInfo info_;
};

}  // namespace

WeightTable llama_table(const LlamaConfig& c, LlamaWeights& weights) {
  const MatrixOptions rotary{.order = RowOrder::kRotary, .head_dim = c.head_dim};
  const VectorOptions rotary_bias{
      .presence = Presence::kOptional, .order = RowOrder::kRotary, .head_dim = c.head_dim};
  const VectorOptions bias{.presence = Presence::kOptional};
  weights.layers.resize(c.n_layers);
  WeightTable t;
  t.matrix(weights.embedding, {"token_embd.weight", "model.embed_tokens.weight", "tok_embeddings.weight"},
           c.vocab_size, c.d_model, {.streamed = false});
  for (size_t i = 0; i < c.n_layers; ++i) {
    LlamaLayer& l = weights.layers[i];
    const std::string gguf = fmt::format("blk.{}.", i), hf = fmt::format("model.layers.{}.", i),
                      meta = fmt::format("layers.{}.", i);
    const auto names = [&](const char* in_gguf, const char* in_hf, const char* in_meta) {
      return Sources{gguf + in_gguf, hf + in_hf, meta + in_meta};
    };
    const auto biases = [&](const char* in_gguf, const char* in_hf) {
      return Sources{gguf + in_gguf, hf + in_hf, {}};
    };
    t.vector(l.attn_norm, names("attn_norm.weight", "input_layernorm.weight", "attention_norm.weight"),
             c.d_model);
    t.matrix(l.q, names("attn_q.weight", "self_attn.q_proj.weight", "attention.wq.weight"), c.q_dim(),
             c.d_model, rotary);
    t.matrix(l.k, names("attn_k.weight", "self_attn.k_proj.weight", "attention.wk.weight"), c.kv_dim(),
             c.d_model, rotary);
    t.matrix(l.v, names("attn_v.weight", "self_attn.v_proj.weight", "attention.wv.weight"), c.kv_dim(),
             c.d_model);
    t.matrix(l.o, names("attn_output.weight", "self_attn.o_proj.weight", "attention.wo.weight"), c.d_model,
             c.q_dim());
    t.vector(l.q_bias, biases("attn_q.bias", "self_attn.q_proj.bias"), c.q_dim(), rotary_bias);
    t.vector(l.k_bias, biases("attn_k.bias", "self_attn.k_proj.bias"), c.kv_dim(), rotary_bias);
    t.vector(l.v_bias, biases("attn_v.bias", "self_attn.v_proj.bias"), c.kv_dim(), bias);
    t.vector(l.o_bias, biases("attn_output.bias", "self_attn.o_proj.bias"), c.d_model, bias);
    t.vector(l.ffn_norm, names("ffn_norm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
             c.d_model);
    t.matrix(l.gate, names("ffn_gate.weight", "mlp.gate_proj.weight", "feed_forward.w1.weight"), c.ffn_dim,
             c.d_model);
    t.matrix(l.up, names("ffn_up.weight", "mlp.up_proj.weight", "feed_forward.w3.weight"), c.ffn_dim,
             c.d_model);
    t.matrix(l.down, names("ffn_down.weight", "mlp.down_proj.weight", "feed_forward.w2.weight"), c.d_model,
             c.ffn_dim);
  }
  t.vector(weights.norm, {"output_norm.weight", "model.norm.weight", "norm.weight"}, c.d_model);
  t.matrix(weights.head, {"output.weight", "lm_head.weight", "output.weight"}, c.vocab_size, c.d_model,
           {.presence = Presence::kOptional});
  return t;
}

Result<std::unique_ptr<Model>> load_llama(std::shared_ptr<const Checkpoint> checkpoint,
                                          const LoadOptions& options) {
  ATELIER_TRY(LlamaConfig config, read_config(*checkpoint));
  auto model = std::make_unique<Llama>(std::move(checkpoint), std::move(config));
  ATELIER_CHECK_OK(model->load(options));
  return model;
}

}  // namespace atelier
