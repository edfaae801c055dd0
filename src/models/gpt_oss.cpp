#include "models/gpt_oss.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/blocks/attention_windows.h"
#include "models/blocks/output.h"
#include "models/blocks/precision.h"
#include "models/blocks/totals.h"
#include "models/config_reader.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/experts.h"
#include "ops/linear.h"

namespace atelier {
namespace {

constexpr double kRopeBase = 150000;

// Ids of o200k_harmony that end a generation: <|endoftext|>, <|return|>, <|call|>. Of use where the files
// name none (OpenAI's own layout has no place for them).
constexpr std::array<TokenId, 3> kHarmonyStops = {199999, 200002, 200012};

Status check_config(const GptOssConfig& c) {
  if (c.n_heads % c.kv_heads != 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: expected the {} heads to be a multiple of the key-value heads, found {}",
                c.n_heads, c.kv_heads);
  if (c.head_dim % 2 != 0)
    return fail(ErrorCode::kCorrupt, "configuration: expected an even head size, found {}", c.head_dim);
  if (c.n_active > c.n_experts)
    return fail(ErrorCode::kCorrupt, "configuration: expected at most {} experts per token, found {}",
                c.n_experts, c.n_active);
  return {};
}

// Every other layer slides, the first one included.
constexpr size_t kWindowPeriod = 2;

Result<GptOssConfig> config_from_hf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  GptOssConfig c;
  ATELIER_TRY(c.n_layers, config.size("num_hidden_layers", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("hidden_size", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("num_attention_heads", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size("num_key_value_heads", kMaxDim));
  ATELIER_TRY(c.head_dim, config.size("head_dim", kMaxDim));
  ATELIER_TRY(c.n_experts, config.size("num_local_experts", kMaxExperts));
  ATELIER_TRY(c.n_active, config.size("num_experts_per_tok", kMaxExperts));
  ATELIER_TRY(c.ffn_dim, config.size("intermediate_size", kMaxDim));
  ATELIER_TRY(c.vocab_size, config.size("vocab_size", kMaxVocab));
  ATELIER_TRY(c.context_length, config.size("max_position_embeddings", kMaxVocab));
  ATELIER_TRY(const uint64_t window, config.size("sliding_window", kMaxVocab));
  ATELIER_TRY(const double eps, config.number_or("rms_norm_eps", 1e-5));
  ATELIER_TRY(const double limit, config.number_or("swiglu_limit", 7.0));
  ATELIER_CHECK_OK(check_config(c));
  ATELIER_TRY(c.windows, windows_from_layer_types(config, c.n_layers, window,
                                                  periodic_windows(c.n_layers, window, kWindowPeriod)));
  ATELIER_TRY(c.rope, rope_from_config_json(config, c.head_dim, {.base = kRopeBase, .round_bounds = false}));
  c.norm_eps = static_cast<float>(eps);
  c.swiglu_limit = static_cast<float>(limit);
  return c;
}

// OpenAI's own config.json. It gives no context: YaRN stretches the initial one by its factor.
Result<GptOssConfig> config_from_original(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), "");
  GptOssConfig c;
  ATELIER_TRY(c.n_layers, config.size("num_hidden_layers", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("hidden_size", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("num_attention_heads", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size("num_key_value_heads", kMaxDim));
  ATELIER_TRY(c.head_dim, config.size("head_dim", kMaxDim));
  ATELIER_TRY(c.n_experts, config.size("num_experts", kMaxExperts));
  ATELIER_TRY(c.n_active, config.size("experts_per_token", kMaxExperts));
  ATELIER_TRY(c.ffn_dim, config.size("intermediate_size", kMaxDim));
  ATELIER_TRY(c.vocab_size, config.size("vocab_size", kMaxVocab));
  ATELIER_TRY(const uint64_t window, config.size("sliding_window", kMaxVocab));
  ATELIER_TRY(const uint64_t initial_context, config.size("initial_context_length", kMaxVocab));
  ATELIER_TRY(const double limit, config.number_or("swiglu_limit", 7.0));
  ATELIER_TRY(const double base, config.number_or("rope_theta", kRopeBase));
  ATELIER_TRY(const double factor, config.number_or("rope_scaling_factor", 32));
  ATELIER_TRY(const double beta_slow, config.number_or("rope_ntk_alpha", 1));
  ATELIER_TRY(const double beta_fast, config.number_or("rope_ntk_beta", 32));
  if (base <= 1 || factor < 1 || factor > static_cast<double>(kMaxVocab) || beta_slow <= 0 || beta_fast <= 0)
    return fail(ErrorCode::kCorrupt,
                "configuration: rope_theta, rope_scaling_factor, rope_ntk_alpha, rope_ntk_beta: expected "
                "positive numbers, found {}, {}, {}, {}",
                base, factor, beta_slow, beta_fast);
  ATELIER_CHECK_OK(check_config(c));
  c.swiglu_limit = static_cast<float>(limit);
  c.windows = periodic_windows(c.n_layers, window, kWindowPeriod);
  c.context_length = static_cast<size_t>(static_cast<double>(initial_context) * factor);
  c.rope.frequencies = rope_frequencies(base, c.head_dim);
  if (factor > 1) {
    scale_yarn(c.rope.frequencies, base,
               {.factor = factor,
                .original_context = static_cast<double>(initial_context),
                .beta_fast = beta_fast,
                .beta_slow = beta_slow,
                .round_bounds = false});
    c.rope.scale = yarn_attention_factor(factor);
  }
  return c;
}

Result<GptOssConfig> config_from_gguf(const Checkpoint& checkpoint) {
  const ConfigReader config(checkpoint.metadata(), std::string(checkpoint.architecture()) + ".");
  GptOssConfig c;
  ATELIER_TRY(c.n_layers, config.size("block_count", kMaxLayers));
  ATELIER_TRY(c.d_model, config.size("embedding_length", kMaxDim));
  ATELIER_TRY(c.n_heads, config.size("attention.head_count", kMaxDim));
  ATELIER_TRY(c.kv_heads, config.size_or("attention.head_count_kv", kMaxDim, c.n_heads));
  ATELIER_TRY(c.head_dim, config.size("attention.key_length", kMaxDim));
  ATELIER_TRY(c.n_experts, config.size("expert_count", kMaxExperts));
  ATELIER_TRY(c.n_active, config.size("expert_used_count", kMaxExperts));
  ATELIER_TRY(c.ffn_dim, config.size("expert_feed_forward_length", kMaxDim));
  ATELIER_TRY(c.context_length, config.size("context_length", kMaxVocab));
  ATELIER_TRY(const uint64_t window, config.size("attention.sliding_window", kMaxVocab));
  ATELIER_TRY(const double eps, config.number("attention.layer_norm_rms_epsilon"));
  const TensorView* embedding = checkpoint.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return fail(ErrorCode::kNotFound,
                "tensor token_embd.weight: expected shape [vocabulary, {}], found no such tensor", c.d_model);
  c.vocab_size = embedding->shape[0];
  ATELIER_CHECK_OK(check_config(c));
  c.norm_eps = static_cast<float>(eps);
  c.windows = periodic_windows(c.n_layers, window, kWindowPeriod);
  ATELIER_TRY(c.rope, rope_from_gguf(config, c.head_dim, c.context_length,
                                     {.base = kRopeBase, .round_bounds = false}));
  return c;
}

Result<GptOssConfig> read_config(const Checkpoint& checkpoint) {
  switch (checkpoint.dialect()) {
    case Dialect::kGguf:
      return config_from_gguf(checkpoint);
    case Dialect::kHf:
      return config_from_hf(checkpoint);
    case Dialect::kOriginal:
      return config_from_original(checkpoint);
  }
  return fail(ErrorCode::kUnsupported, "unknown checkpoint dialect");
}

class GptOss final : public Model {
 public:
  GptOss(std::shared_ptr<const Checkpoint> checkpoint, GptOssConfig config)
      : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Status load(const LoadOptions& options) {
    const GptOssConfig& c = config_;
    const WeightTable table = gpt_oss_table(c, weights_);
    ATELIER_CHECK_OK(table.load(*checkpoint_, owned_, options));
    ModelInfo& info = info_;
    info.architecture = "gpt-oss";
    info.n_layers = c.n_layers;
    info.d_model = c.d_model;
    info.vocab_size = c.vocab_size;
    info.context_length = c.context_length;
    for (const size_t window : c.windows)
      info.cache.push_back({.geometry = attention_shape(KvType::kF16, window).kv, .window = window});
    ATELIER_TRY(info.stop_tokens, published_stop_tokens(*checkpoint_));
    if (info.stop_tokens.empty())
      std::ranges::copy_if(kHarmonyStops, std::back_inserter(info.stop_tokens),
                           [&](TokenId id) { return static_cast<size_t>(id) < c.vocab_size; });
    add_totals(table, *checkpoint_, info, static_cast<double>(c.n_active) / static_cast<double>(c.n_experts));
    return {};
  }

  const ModelInfo& info() const override { return info_; }

  std::vector<Weight*> multiplied_weights() override {
    std::vector<Weight*> all;
    for (GptOssLayer& layer : weights_.layers) {
      all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.router});
      for (std::vector<Weight>* experts : {&layer.gate, &layer.up, &layer.down})
        for (Weight& expert : *experts) all.push_back(&expert);
    }
    all.push_back(&weights_.head);
    return all;
  }

  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    const GptOssConfig& c = config_;
    const size_t n_tokens = batch.tokens.size();
    Arena& arena = ctx.arena();
    ctx.begin_pass(n_tokens);
    auto x = arena.take_mat(n_tokens, c.d_model);  // the residual stream
    auto normed = arena.take_mat(n_tokens, c.d_model);
    const auto q = arena.take_mat(n_tokens, c.q_dim());
    const auto k = arena.take_mat(n_tokens, c.kv_dim());
    const auto v = arena.take_mat(n_tokens, c.kv_dim());
    auto attn_out = arena.take_mat(n_tokens, c.q_dim());
    const auto angles = ops::rope_angles(ctx, batch.positions, {c.rope.frequencies, c.rope.scale});
    const ops::Activations kv_activations = key_value_activations(c.n_heads, c.kv_heads);

    ops::embed(ctx, weights_.embedding, batch.tokens, x);
    for (size_t i = 0; i < c.n_layers; ++i) {
      const GptOssLayer& layer = weights_.layers[i];
      const ops::AttentionShape shape = attention_shape(batch.kv_type, c.windows[i]);
      ops::rms_norm(ctx, x, layer.attn_norm, c.norm_eps, normed);
      ops::linear_group(ctx, normed,
                        {{&layer.q, layer.q_bias, q},
                         {&layer.k, layer.k_bias, k, kv_activations},
                         {&layer.v, layer.v_bias, v, kv_activations}});
      ops::rope(ctx, q, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::rope(ctx, k, c.head_dim, angles, ops::RopePairs::kHalves);
      ops::kv_append(ctx, shape, k, v, batch.kv[i]);
      ops::attention(ctx, shape, q, layer.sinks, batch.kv[i], attn_out);
      const bool is_last = i + 1 == c.n_layers;
      if (is_last) keep_logit_rows(ctx, batch.logit_rows, {&x, &attn_out}, {&normed});
      ops::linear(ctx, attn_out, layer.o, layer.o_bias, normed);
      ops::add_rms_norm(ctx, x, normed, layer.ffn_norm, c.norm_eps, normed);
      add_mixture(ctx, layer, normed, x, ffn_activations(is_last));
    }
    ops::rms_norm(ctx, x, weights_.norm, c.norm_eps, x);
    output(ctx, batch, x, weights_.head, logits);
  }

 private:
  ops::AttentionShape attention_shape(KvType type, size_t window) const {
    const GptOssConfig& c = config_;
    ops::AttentionShape shape;
    shape.kv = {.kv_heads = c.kv_heads, .k_dim = c.head_dim, .v_dim = c.head_dim, .type = type};
    shape.n_heads = c.n_heads;
    shape.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    shape.window = window;
    return shape;
  }

  // x += what each token's experts make of it, by the router's weights. normed, x: [M, d_model].
  void add_mixture(Context& ctx, const GptOssLayer& layer, MatView<const float> normed, MatView<float> x,
                   ops::Activations activations) const {
    const GptOssConfig& c = config_;
    Arena& arena = ctx.arena();
    const ArenaScope scope(arena);
    const size_t n_tokens = x.rows, n_slots = n_tokens * c.n_active;
    const auto scores = arena.take_mat(n_tokens, c.n_experts);
    const auto weights = arena.take_mat(n_tokens, c.n_active);
    const MatView<uint32_t> chosen(arena.take<uint32_t>(n_slots).data(), n_tokens, c.n_active);
    const auto gate = arena.take_mat(n_slots, c.ffn_dim);
    const auto up = arena.take_mat(n_slots, c.ffn_dim);
    const auto down = arena.take_mat(n_slots, c.d_model);

    ops::linear(ctx, normed, layer.router, layer.router_bias, scores);
    ops::top_k_softmax(ctx, scores, c.n_active, chosen, weights);
    const ops::ExpertGroups experts = ops::group_by_expert(ctx, chosen, c.n_experts);
    const size_t n_groups = experts.groups.size();
    const auto jobs = arena.take<ops::ExpertJob>(2 * n_groups);
    const auto job = [&](const std::vector<Weight>& stack, std::span<const float> biases, uint32_t expert,
                         std::span<const uint32_t> rows, MatView<float> out) {
      return ops::ExpertJob{&stack[expert], biases.subspan(expert * out.cols, out.cols), rows, out,
                            activations};
    };
    for (size_t g = 0; g < n_groups; ++g) {
      const ops::ExpertGroups::Group& group = experts.groups[g];
      const auto rows = experts.rows_of(group);
      jobs[2 * g] = job(layer.gate, layer.gate_bias, group.expert, rows,
                        gate.row_range(group.first_slot, group.n_slots));
      jobs[2 * g + 1] =
          job(layer.up, layer.up_bias, group.expert, rows, up.row_range(group.first_slot, group.n_slots));
    }
    ops::linear_experts(ctx, normed, jobs);
    ops::swiglu_clamped(ctx, gate, up, {.limit = c.swiglu_limit}, gate);
    for (size_t g = 0; g < n_groups; ++g) {
      const ops::ExpertGroups::Group& group = experts.groups[g];
      jobs[g] = job(layer.down, layer.down_bias, group.expert, experts.slots_of(group),
                    down.row_range(group.first_slot, group.n_slots));
    }
    ops::linear_experts(ctx, gate, jobs.first(n_groups));
    ops::add_experts(ctx, x, down, experts.slot_of, weights);
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  GptOssConfig config_;
  GptOssWeights weights_;
  std::vector<RawBuffer> owned_;
  ModelInfo info_;
};

}  // namespace

WeightTable gpt_oss_table(const GptOssConfig& c, GptOssWeights& weights) {
  const uint64_t qkv = c.q_dim() + 2 * c.kv_dim(), gate_up = 2 * c.ffn_dim;
  const MatrixOptions expert{.transposed = true};  // in HF files that are not MXFP4
  weights.layers.resize(c.n_layers);
  WeightTable t;
  t.matrix(weights.embedding, {"token_embd.weight", "model.embed_tokens.weight", "embedding.weight"},
           c.vocab_size, c.d_model, {.streamed = false});
  for (size_t i = 0; i < c.n_layers; ++i) {
    GptOssLayer& l = weights.layers[i];
    const std::string gguf = fmt::format("blk.{}.", i), hf = fmt::format("model.layers.{}.", i),
                      original = fmt::format("block.{}.", i);
    const auto names = [&](const char* in_gguf, const char* in_hf, const char* in_original) {
      return Sources{gguf + in_gguf, hf + in_hf, original + in_original};
    };
    // Part of OpenAI's fused q, k, v; `ending`: "weight" or "bias".
    const auto fused = [&](const char* letter, uint64_t first, const char* ending) {
      return Sources{fmt::format("{}attn_{}.{}", gguf, letter, ending),
                     fmt::format("{}self_attn.{}_proj.{}", hf, letter, ending),
                     Source(fmt::format("{}attn.qkv.{}", original, ending), first, 1, qkv)};
    };
    // Gate rows are the even ones of the publisher's tensor, up rows the odd ones.
    const auto alternating = [&](const char* in_gguf, uint64_t first, const char* in_hf,
                                 const char* in_original) {
      return Sources{gguf + in_gguf, Source(hf + in_hf, first, 2, gate_up),
                     Source(original + in_original, first, 2, gate_up)};
    };
    t.vector(l.attn_norm, names("attn_norm.weight", "input_layernorm.weight", "attn.norm.scale"), c.d_model);
    t.matrix(l.q, fused("q", 0, "weight"), c.q_dim(), c.d_model);
    t.matrix(l.k, fused("k", c.q_dim(), "weight"), c.kv_dim(), c.d_model);
    t.matrix(l.v, fused("v", c.q_dim() + c.kv_dim(), "weight"), c.kv_dim(), c.d_model);
    t.vector(l.q_bias, fused("q", 0, "bias"), c.q_dim());
    t.vector(l.k_bias, fused("k", c.q_dim(), "bias"), c.kv_dim());
    t.vector(l.v_bias, fused("v", c.q_dim() + c.kv_dim(), "bias"), c.kv_dim());
    t.matrix(l.o, names("attn_output.weight", "self_attn.o_proj.weight", "attn.out.weight"), c.d_model,
             c.q_dim());
    t.vector(l.o_bias, names("attn_output.bias", "self_attn.o_proj.bias", "attn.out.bias"), c.d_model);
    t.vector(l.sinks, names("attn_sinks.weight", "self_attn.sinks", "attn.sinks"), c.n_heads);

    t.vector(l.ffn_norm,
             names("post_attention_norm.weight", "post_attention_layernorm.weight", "mlp.norm.scale"),
             c.d_model);
    t.matrix(l.router, names("ffn_gate_inp.weight", "mlp.router.weight", "mlp.gate.weight"), c.n_experts,
             c.d_model, {.keep_format = true});
    t.vector(l.router_bias, names("ffn_gate_inp.bias", "mlp.router.bias", "mlp.gate.bias"), c.n_experts);
    t.expert_matrices(l.gate,
                      alternating("ffn_gate_exps.weight", 0, "mlp.experts.gate_up_proj", "mlp.mlp1_weight"),
                      c.n_experts, c.ffn_dim, c.d_model, expert);
    t.expert_matrices(l.up,
                      alternating("ffn_up_exps.weight", 1, "mlp.experts.gate_up_proj", "mlp.mlp1_weight"),
                      c.n_experts, c.ffn_dim, c.d_model, expert);
    t.expert_vectors(l.gate_bias,
                     alternating("ffn_gate_exps.bias", 0, "mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"),
                     c.n_experts, c.ffn_dim);
    t.expert_vectors(l.up_bias,
                     alternating("ffn_up_exps.bias", 1, "mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"),
                     c.n_experts, c.ffn_dim);
    t.expert_matrices(l.down, names("ffn_down_exps.weight", "mlp.experts.down_proj", "mlp.mlp2_weight"),
                      c.n_experts, c.d_model, c.ffn_dim, expert);
    t.expert_vectors(l.down_bias, names("ffn_down_exps.bias", "mlp.experts.down_proj_bias", "mlp.mlp2_bias"),
                     c.n_experts, c.d_model);
  }
  t.vector(weights.norm, {"output_norm.weight", "model.norm.weight", "norm.scale"}, c.d_model);
  t.matrix(weights.head, {"output.weight", "lm_head.weight", "unembedding.weight"}, c.vocab_size, c.d_model);
  return t;
}

Result<std::unique_ptr<Model>> load_gpt_oss(std::shared_ptr<const Checkpoint> checkpoint,
                                            const LoadOptions& options) {
  ATELIER_TRY(GptOssConfig config, read_config(*checkpoint));
  auto model = std::make_unique<GptOss>(std::move(checkpoint), std::move(config));
  ATELIER_CHECK_OK(model->load(options));
  return model;
}

}  // namespace atelier
