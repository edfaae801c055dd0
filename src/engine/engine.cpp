#include "engine/engine.h"

#include <algorithm>

#include "base/memory.h"
#include "engine/recommended_sampling.h"
#include "io/chat_template.h"

namespace atelier {
namespace {

KvType kv_type_of(Numerics numerics) {
  return numerics == Numerics::kReference ? KvType::kF32 : KvType::kF16;
}

uint64_t mib(uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

// The cache grows with use, so what is checked up front is the weights and a modest conversation, not the
// whole context.
constexpr size_t kFirstContext = 4096;

Status check_memory(const ModelInfo& info, EngineOptions options) {
  options.context = std::min(options.context, kFirstContext);
  const MemoryEstimate needed = estimate_memory(info, options);
  const uint64_t available = available_memory_bytes();
  if (needed.total() <= available) return {};
  return fail(ErrorCode::kOutOfMemory,
              "needed {} MiB of memory ({} MiB weights, {} MiB cache for {} tokens, {} MiB activations), "
              "available {} MiB (--mmap-anyway tries all the same)",
              mib(needed.total()), mib(needed.packed_bytes + needed.in_place_bytes), mib(needed.kv_bytes),
              options.context, mib(needed.activation_bytes), mib(available));
}

// Weights that alone do not fit are refused before even their table is built.
Status check_weights(const Checkpoint& checkpoint) {
  const uint64_t needed = checkpoint.total_tensor_bytes(), available = available_memory_bytes();
  if (needed <= available) return {};
  return fail(
      ErrorCode::kOutOfMemory,
      "needed {} MiB of memory for the weights alone, available {} MiB (--mmap-anyway tries all the same)",
      mib(needed), mib(available));
}

}  // namespace

MemoryEstimate estimate_memory(const ModelInfo& info, const EngineOptions& options) {
  MemoryEstimate estimate;
  const bool fast = options.numerics == Numerics::kFast;
  estimate.packed_bytes = fast ? info.packed_bytes : 0;
  estimate.in_place_bytes = fast ? info.in_place_bytes : info.weight_bytes;
  estimate.kv_bytes = KvPool(info.cache, kv_type_of(options.numerics), 0).sequence_bytes(options.context);
  // A dozen matrices as wide as the model, their quantised copies, and one row of logits.
  constexpr uint64_t kMatrices = 16;
  estimate.activation_bytes =
      (options.prefill_chunk * info.d_model * kMatrices + info.vocab_size) * sizeof(float);
  return estimate;
}

Engine::Engine(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
               const EngineOptions& options)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      card_(std::move(card)),
      options_(options),
      pool_(options.n_threads),
      context_(pool_, options.numerics) {}

std::unique_ptr<Engine> Engine::create(std::unique_ptr<Model> model,
                                       std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
                                       const EngineOptions& wanted) {
  EngineOptions options = wanted;
  if (options.context == 0) options.context = model->info().context_length;
  std::unique_ptr<Engine> engine(
      new Engine(std::move(model), std::move(tokenizer), std::move(card), options));
  if (options.numerics == Numerics::kFast) engine->model_->pack(engine->pool_);
  // What is left after the weights, less a little for everything else; pages are taken only as sequences
  // grow.
  constexpr uint64_t kHeadroomBytes = uint64_t{256} << 20;
  const uint64_t left = available_memory_bytes();
  const uint64_t limit = options.ignore_memory ? UINT64_MAX : left - std::min(left, kHeadroomBytes);
  engine->kv_pool_ = std::make_unique<KvPool>(engine->info().cache, kv_type_of(options.numerics), limit);
  return engine;
}

Result<std::unique_ptr<Engine>> Engine::load(const std::filesystem::path& path, const EngineOptions& wanted) {
  ATELIER_TRY(Checkpoint opened, Checkpoint::open(path));
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  if (!wanted.ignore_memory) {
    if (Status fits = check_weights(*checkpoint); !fits)
      return fail_in(path.string(), std::move(fits).error());
  }
  Result<std::unique_ptr<Model>> model = load_model(checkpoint);
  if (!model) return fail_in(path.string(), std::move(model).error());
  Result<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::load(*checkpoint);
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());

  const ModelInfo& info = (*model)->info();
  EngineOptions options = wanted;
  if (options.context == 0) options.context = info.context_length;
  if (info.hard_context_limit && options.context > info.context_length)
    return fail(ErrorCode::kLimit, "{}: context: expected at most {} positions, found {}", path.string(),
                info.context_length, options.context);
  if (!options.ignore_memory) {
    if (Status fits = check_memory(info, options); !fits)
      return fail_in(path.string(), std::move(fits).error());
  }
  ModelCard card{path, chat_template_of(*checkpoint), recommended_sampling(*checkpoint)};
  return create(std::move(*model), std::move(*tokenizer), std::move(card), options);
}

Status Engine::check(const Item& item) const {
  const size_t vocab_size = info().vocab_size;
  for (const TokenId id : item.tokens)
    if (id < 0 || static_cast<size_t>(id) >= vocab_size)
      return fail(ErrorCode::kInvalidArgument, "token id: expected 0 to {}, found {}", vocab_size - 1, id);
  const size_t end = item.sequence->length() + item.tokens.size();
  if (end > options_.context)
    return fail(ErrorCode::kLimit, "context: expected at most {} tokens, found {}", options_.context, end);
  return {};
}

Result<MatView<const float>> Engine::evaluate(std::span<const Item> items) {
  for (const Item& item : items) ATELIER_CHECK_OK(check(item));
  for (const Item& item : items) ATELIER_CHECK_OK(item.sequence->reserve(item.tokens.size()));
  tokens_.clear();
  positions_.clear();
  logit_rows_.clear();
  for (const Item& item : items) {
    const size_t first_row = tokens_.size(), n_rows = item.tokens.size();
    tokens_.insert(tokens_.end(), item.tokens.begin(), item.tokens.end());
    for (size_t i = 0; i < n_rows; ++i)
      positions_.push_back(static_cast<int32_t>(item.sequence->length() + i));
    const size_t n_logits = item.logits == Logits::kAll    ? n_rows
                            : item.logits == Logits::kLast ? std::min<size_t>(1, n_rows)
                                                           : 0;
    for (size_t i = n_rows - n_logits; i < n_rows; ++i)
      logit_rows_.push_back(static_cast<uint32_t>(first_row + i));
  }
  const size_t n_layers = info().n_layers;
  attention_.clear();
  for (size_t layer = 0; layer < n_layers; ++layer) {
    size_t first_row = 0;
    for (const Item& item : items) {
      attention_.push_back(item.sequence->layer(layer, first_row, item.tokens.size()));
      first_row += item.tokens.size();
    }
  }
  layers_.clear();
  for (size_t layer = 0; layer < n_layers; ++layer)
    layers_.push_back(std::span(attention_).subspan(layer * items.size(), items.size()));
  const size_t n_logits = logit_rows_.size() * info().vocab_size;
  if (logits_.size() < n_logits) logits_ = Buffer<float>(n_logits);
  const MatView<float> logits(logits_.data(), logit_rows_.size(), info().vocab_size);
  if (!tokens_.empty())
    model_->forward(context_, {tokens_, positions_, logit_rows_, layers_, kv_pool_->type()}, logits);
  for (const Item& item : items) item.sequence->advance(item.tokens.size());
  return MatView<const float>(logits);
}

}  // namespace atelier
