#include "models/gpt2.h"

#include <cmath>

#include "models/blocks/output.h"
#include "models/blocks/precision.h"
#include "models/blocks/totals.h"
#include "models/config_reader.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"

namespace atelier {
namespace {

Status check_config(const Gpt2Config& c) {
  if (c.d_model % c.n_heads != 0)
    return fail(ErrorCode::kCorrupt, "configuration: expected a width in multiples of the {} heads, found {}",
                c.n_heads, c.d_model);
  return {};
}

// Variants of other publishers that we do not compute.
Status check_variant(const ConfigReader& config) {
  ATELIER_TRY(const std::string activation, config.text_or("activation_function", "gelu_new"));
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    return fail(ErrorCode::kUnsupported, "configuration: activation_function: expected gelu_new, found '{}'",
                activation);
  ATELIER_TRY(const bool scaled, config.flag_or("scale_attn_weights", true));
  ATELIER_TRY(const bool by_layer, config.flag_or("scale_attn_by_inverse_layer_idx", false));
  if (!scaled || by_layer)
    return fail(
        ErrorCode::kUnsupported,
        "configuration: expected scores scaled by the head size alone, found scale_attn_weights {} and "
        "scale_attn_by_inverse_layer_idx {}",
        scaled, by_layer);
  return {};
}

Result<Gpt2Config> config_from_hf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  Gpt2Config c;
  ATELIER_TRY(c.n_layers, config.size("n_layer", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("n_embd", kMaxDim / 4));
  ATELIER_TRY(c.n_heads, config.size("n_head", kMaxDim));
  ATELIER_TRY(c.ffn_dim, config.size_or("n_inner", kMaxDim, 4 * c.d_model));
  ATELIER_TRY(c.vocab_size, config.size("vocab_size", kMaxVocab));
  ATELIER_TRY(c.context_length, config.size("n_positions", kMaxVocab));
  ATELIER_TRY(const double eps, config.number_or("layer_norm_epsilon", 1e-5));
  ATELIER_CHECK_OK(check_variant(config));
  ATELIER_CHECK_OK(check_config(c));
  c.norm_eps = static_cast<float>(eps);
  if (checkpoint.find("transformer.wte.weight") != nullptr) c.hf_prefix = "transformer.";
  return c;
}

Result<Gpt2Config> config_from_gguf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), std::string(checkpoint.architecture()) + ".");
  Gpt2Config c;
  ATELIER_TRY(c.n_layers, config.size("block_count", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("embedding_length", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("attention.head_count", kMaxDim));
  ATELIER_TRY(c.ffn_dim, config.size("feed_forward_length", kMaxDim));
  ATELIER_TRY(c.context_length, config.size("context_length", kMaxVocab));
  ATELIER_TRY(const double eps, config.number("attention.layer_norm_epsilon"));
  const TensorView* embedding = checkpoint.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "tensor token_embd.weight: expected shape [vocabulary, {}], found no such tensor", c.d_model);
  c.vocab_size = embedding->shape[0];
  c.norm_eps = static_cast<float>(eps);
  ATELIER_CHECK_OK(check_config(c));
  return c;
}

Result<Gpt2Config> read_config(const Checkpoint& checkpoint) {
  switch (checkpoint.dialect()) {
    case Dialect::kGguf:
      return config_from_gguf(checkpoint);
    case Dialect::kHf:
      return config_from_hf(checkpoint);
    case Dialect::kOriginal:
      break;  // TensorFlow checkpoints
  }
  return fail(ErrorCode::kUnsupported, "GPT-2: expected a GGUF file or a Hugging Face folder, found {}",
              dialect_name(checkpoint.dialect()));
}

class Gpt2 final : public Model {
 public:
  Gpt2(std::shared_ptr<const Checkpoint> checkpoint, Gpt2Config config)
      : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Status load(const LoadOptions& options) {
    const WeightTable table = gpt2_table(config_, weights_);
    ATELIER_CHECK_OK(table.load(*checkpoint_, owned_, options));
    ModelInfo& info = info_;
    info.architecture = "gpt2";
    info.n_layers = config_.n_layers;
    info.d_model = config_.d_model;
    info.vocab_size = config_.vocab_size;
    info.context_length = config_.context_length;
    info.hard_context_limit = true;
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
    for (Gpt2Layer& layer : weights_.layers)
      all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down});
    all.push_back(&weights_.head);
    return all;
  }

  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    const Gpt2Config& c = config_;
    const size_t n_tokens = batch.tokens.size();
    Arena& arena = ctx.arena();
    ctx.begin_pass(n_tokens);
    auto x = arena.take_mat(n_tokens, c.d_model);  // the residual stream
    auto normed = arena.take_mat(n_tokens, c.d_model);
    const auto q = arena.take_mat(n_tokens, c.d_model);
    const auto k = arena.take_mat(n_tokens, c.d_model);
    const auto v = arena.take_mat(n_tokens, c.d_model);
    auto attn_out = arena.take_mat(n_tokens, c.d_model);
    auto hidden = arena.take_mat(n_tokens, c.ffn_dim);
    const ops::AttentionShape shape = attention_shape(batch.kv_type);

    ops::embed(ctx, weights_.embedding, batch.tokens, x);
    ops::embed(ctx, weights_.positions, batch.positions, normed);
    ops::add(ctx, x, normed);
    for (size_t i = 0; i < c.n_layers; ++i) {
      const Gpt2Layer& layer = weights_.layers[i];
      ops::layer_norm(ctx, x, layer.attn_norm, layer.attn_norm_bias, c.norm_eps, normed);
      ops::linear_group(
          ctx, normed,
          {{&layer.q, layer.q_bias, q}, {&layer.k, layer.k_bias, k}, {&layer.v, layer.v_bias, v}});
      ops::kv_append(ctx, shape, k, v, batch.kv[i]);
      ops::attention(ctx, shape, q, {}, batch.kv[i], attn_out);
      const bool is_last = i + 1 == c.n_layers;
      if (is_last) keep_logit_rows(ctx, batch.logit_rows, {&x, &attn_out}, {&normed, &hidden});
      ops::linear(ctx, attn_out, layer.o, layer.o_bias, normed);
      ops::add(ctx, x, normed);

      ops::layer_norm(ctx, x, layer.ffn_norm, layer.ffn_norm_bias, c.norm_eps, normed);
      const ops::Activations activations = ffn_activations(is_last);
      ops::linear(ctx, normed, layer.up, layer.up_bias, hidden, activations);
      ops::gelu_tanh(ctx, hidden, hidden);
      ops::linear(ctx, hidden, layer.down, layer.down_bias, normed, activations);
      ops::add(ctx, x, normed);
    }
    ops::layer_norm(ctx, x, weights_.norm, weights_.norm_bias, c.norm_eps, x);
    output(ctx, batch, x, weights_.head, logits);
  }

 private:
  ops::AttentionShape attention_shape(KvType type) const {
    const Gpt2Config& c = config_;
    ops::AttentionShape shape;
    shape.kv = {.kv_heads = c.n_heads, .k_dim = c.head_dim(), .v_dim = c.head_dim(), .type = type};
    shape.n_heads = c.n_heads;
    shape.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim()));
    return shape;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Gpt2Config config_;
  Gpt2Weights weights_;
  std::vector<RawBuffer> owned_;
  ModelInfo info_;
};

}  // namespace

WeightTable gpt2_table(const Gpt2Config& c, Gpt2Weights& weights) {
  const MatrixOptions conv1d{.transposed = true};
  weights.layers.resize(c.n_layers);
  WeightTable t;
  const auto outer = [&](const char* in_gguf, const char* in_hf) {
    return Sources{in_gguf, c.hf_prefix + in_hf, {}};
  };
  t.matrix(weights.embedding, outer("token_embd.weight", "wte.weight"), c.vocab_size, c.d_model,
           {.streamed = false});
  t.matrix(weights.positions, outer("position_embd.weight", "wpe.weight"), c.context_length, c.d_model,
           {.streamed = false});
  for (size_t i = 0; i < c.n_layers; ++i) {
    Gpt2Layer& l = weights.layers[i];
    const std::string gguf = fmt::format("blk.{}.", i), hf = fmt::format("{}h.{}.", c.hf_prefix, i);
    const auto names = [&](const char* in_gguf, const char* in_hf) {
      return Sources{gguf + in_gguf, hf + in_hf, {}};
    };
    // The `part`-th third of the fused q, k, v.
    const auto third = [&](const char* ending, uint64_t part) {
      return Sources{Source(fmt::format("{}attn_qkv.{}", gguf, ending), part * c.d_model, 1, 3 * c.d_model),
                     Source(fmt::format("{}attn.c_attn.{}", hf, ending), part * c.d_model, 1, 3 * c.d_model),
                     {}};
    };
    t.vector(l.attn_norm, names("attn_norm.weight", "ln_1.weight"), c.d_model);
    t.vector(l.attn_norm_bias, names("attn_norm.bias", "ln_1.bias"), c.d_model);
    t.matrix(l.q, third("weight", 0), c.d_model, c.d_model, conv1d);
    t.matrix(l.k, third("weight", 1), c.d_model, c.d_model, conv1d);
    t.matrix(l.v, third("weight", 2), c.d_model, c.d_model, conv1d);
    t.vector(l.q_bias, third("bias", 0), c.d_model);
    t.vector(l.k_bias, third("bias", 1), c.d_model);
    t.vector(l.v_bias, third("bias", 2), c.d_model);
    t.matrix(l.o, names("attn_output.weight", "attn.c_proj.weight"), c.d_model, c.d_model, conv1d);
    t.vector(l.o_bias, names("attn_output.bias", "attn.c_proj.bias"), c.d_model);
    t.vector(l.ffn_norm, names("ffn_norm.weight", "ln_2.weight"), c.d_model);
    t.vector(l.ffn_norm_bias, names("ffn_norm.bias", "ln_2.bias"), c.d_model);
    t.matrix(l.up, names("ffn_up.weight", "mlp.c_fc.weight"), c.ffn_dim, c.d_model, conv1d);
    t.vector(l.up_bias, names("ffn_up.bias", "mlp.c_fc.bias"), c.ffn_dim);
    t.matrix(l.down, names("ffn_down.weight", "mlp.c_proj.weight"), c.d_model, c.ffn_dim, conv1d);
    t.vector(l.down_bias, names("ffn_down.bias", "mlp.c_proj.bias"), c.d_model);
  }
  t.vector(weights.norm, outer("output_norm.weight", "ln_f.weight"), c.d_model);
  t.vector(weights.norm_bias, outer("output_norm.bias", "ln_f.bias"), c.d_model);
  t.matrix(weights.head, {"output.weight", "lm_head.weight", {}}, c.vocab_size, c.d_model,
           {.presence = Presence::kOptional});
  return t;
}

Result<std::unique_ptr<Model>> load_gpt2(std::shared_ptr<const Checkpoint> checkpoint,
                                         const LoadOptions& options) {
  ATELIER_TRY(Gpt2Config config, read_config(*checkpoint));
  auto model = std::make_unique<Gpt2>(std::move(checkpoint), std::move(config));
  ATELIER_CHECK_OK(model->load(options));
  return model;
}

}  // namespace atelier
