#include "engine/engine.h"

#include <algorithm>
#include <future>

#include "base/check.h"
#include "base/memory.h"
#include "engine/constraint/constraint_cache.h"
#include "engine/recommended_sampling.h"
#include "io/chat_template.h"

namespace atelier {
namespace {

KvType kv_type_of(const EngineOptions& options) {
  if (options.numerics == Numerics::kReference) return KvType::kF32;
  return options.kv_bits == 8 ? KvType::k8 : KvType::kF16;
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

// Bytes of weights that products read where a file is mapped: memory that counts as free, and is not.
uint64_t mapped_weight_bytes(Model& model) {
  uint64_t bytes = 0;
  for (const Weight* weight : model.multiplied_weights())
    if (weight->is_packed()) bytes += weight->streamed_bytes() - weight->packed_bytes();
  return bytes;
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
  const bool fast = options.numerics != Numerics::kReference;
  estimate.packed_bytes = fast ? info.packed_bytes : 0;
  estimate.in_place_bytes = fast ? info.in_place_bytes : info.weight_bytes;
  estimate.kv_bytes = KvPool(info.cache, kv_type_of(options), 0).sequence_bytes(options.context);
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
      constraints_(std::make_shared<constraint::ConstraintCache>(tokenizer_)),
      card_(std::move(card)),
      options_(options),
      pool_({.n_threads = options.n_threads, .pin = options.pin}),
      passes_{Pass(pool_, options.numerics), Pass(pool_, options.numerics)} {}

std::unique_ptr<Engine> Engine::create(std::unique_ptr<Model> model,
                                       std::shared_ptr<const Tokenizer> tokenizer, ModelCard card,
                                       const EngineOptions& wanted) {
  EngineOptions options = wanted;
  if (options.context == 0) options.context = model->info().context_length;
  std::unique_ptr<Engine> engine(
      new Engine(std::move(model), std::move(tokenizer), std::move(card), options));
  if (options.numerics != Numerics::kReference) engine->model_->pack(engine->pool_);
  // What is left after the weights, less a little for everything else; pages are taken only as sequences
  // grow.
  constexpr uint64_t kHeadroomBytes = uint64_t{256} << 20;
  const uint64_t available = available_memory_bytes(), mapped = mapped_weight_bytes(*engine->model_);
  const uint64_t left = available - std::min(available, mapped);
  uint64_t limit = options.ignore_memory ? UINT64_MAX : left - std::min(left, kHeadroomBytes);
  if (options.max_kv_bytes > 0) limit = std::min(limit, options.max_kv_bytes);
  engine->kv_pool_ = std::make_unique<KvPool>(engine->info().cache, kv_type_of(options), limit);
  return engine;
}

Result<std::unique_ptr<Engine>> Engine::load(const std::filesystem::path& path, const EngineOptions& wanted) {
  ATELIER_TRY(Checkpoint opened, Checkpoint::open(path));
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  if (!wanted.ignore_memory) {
    if (Status fits = check_weights(*checkpoint); !fits)
      return fail_in(path.string(), std::move(fits).error());
  }
  // A vocabulary of 200,000 takes as long as all else where weights are used in place; so beside them.
  // (Leaving early waits for it: that is what the future of std::async does.)
  std::future<Result<std::shared_ptr<const Tokenizer>>> vocabulary =
      std::async(std::launch::async, [checkpoint] { return Tokenizer::load(*checkpoint); });
  Result<std::unique_ptr<Model>> model = load_model(checkpoint, {.dense = wanted.dense});
  if (!model) return fail_in(path.string(), std::move(model).error());

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
  const WeightCache cache(options.weight_cache);
  bool keeps_weights = !options.weight_cache.empty() && options.numerics != Numerics::kReference;
  std::optional<PackedFile> packed;
  if (keeps_weights) packed = cache.find(*checkpoint, **model);
  keeps_weights = keeps_weights && !packed && WeightCache::saves_time(**model);

  Result<std::shared_ptr<const Tokenizer>> tokenizer = vocabulary.get();
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());
  ModelCard card{path, chat_template_of(*checkpoint), recommended_sampling(*checkpoint)};
  auto engine = create(std::move(*model), std::move(*tokenizer), std::move(card), options);
  engine->checkpoint_ = checkpoint;
  engine->packed_file_ = std::move(packed);
  if (keeps_weights) engine->keeper_ = std::make_unique<BackgroundKeeper>(cache, checkpoint, *engine->model_);
  return engine;
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

Status Engine::check_files() const {
  if (packed_file_ && !packed_file_->healthy())
    return fail(ErrorCode::kIo, "{}: packed weights could not be read", packed_file_->path().string());
  if (checkpoint_ == nullptr) return {};
  return checkpoint_->check_files();
}

void Engine::put_together(std::span<const Item> items, Pass& pass) const {
  pass.tokens.clear();
  pass.positions.clear();
  pass.logit_rows.clear();
  for (const Item& item : items) {
    const size_t first_row = pass.tokens.size(), n_rows = item.tokens.size();
    pass.tokens.insert(pass.tokens.end(), item.tokens.begin(), item.tokens.end());
    for (size_t i = 0; i < n_rows; ++i)
      pass.positions.push_back(static_cast<int32_t>(item.sequence->length() + i));
    const size_t n_logits = item.logits == Logits::kAll    ? n_rows
                            : item.logits == Logits::kLast ? std::min<size_t>(1, n_rows)
                                                           : 0;
    for (size_t i = n_rows - n_logits; i < n_rows; ++i)
      pass.logit_rows.push_back(static_cast<uint32_t>(first_row + i));
  }
  const size_t n_layers = info().n_layers;
  pass.attention.clear();
  for (size_t layer = 0; layer < n_layers; ++layer) {
    size_t first_row = 0;
    for (const Item& item : items) {
      pass.attention.push_back(item.sequence->layer(layer, first_row, item.tokens.size()));
      first_row += item.tokens.size();
    }
  }
  pass.layers.clear();
  for (size_t layer = 0; layer < n_layers; ++layer)
    pass.layers.push_back(std::span(pass.attention).subspan(layer * items.size(), items.size()));
}

Engine::Pass& Engine::next_pass(bool may_be_interrupted) {
  ATELIER_CHECK(depth_ < passes_.size() && (depth_ == 0 || !may_be_interrupted));
  ++n_passes_;
  return passes_[depth_];
}

Status Engine::prepare(std::span<const Item> items, Pass& pass) const {
  for (const Item& item : items) ATELIER_CHECK_OK(check(item));
  for (const Item& item : items) ATELIER_CHECK_OK(item.sequence->reserve(item.tokens.size()));
  put_together(items, pass);
  return {};
}

// The pass itself; `logits` or `states` take what comes out of it.
Status Engine::run(std::span<const Item> items, Pass& pass, const Interlude& interlude, MatView<float> logits,
                   MatView<float> states) {
  if (!pass.tokens.empty()) {
    pass.context.set_interlude(interlude ? &interlude : nullptr);
    ++depth_;
    bool abandoned = false;
    try {
      model_->forward(pass.context,
                      {pass.tokens, pass.positions, pass.logit_rows, pass.layers, kv_pool_->type(), states},
                      logits);
    } catch (const PassAbandoned&) {
      abandoned = true;
    }
    --depth_;
    if (abandoned) return fail(ErrorCode::kInterrupted, "interrupted in the middle of a pass");
  }
  ATELIER_CHECK_OK(check_files());
  for (const Item& item : items) item.sequence->advance(item.tokens.size());
  return {};
}

Result<MatView<const float>> Engine::evaluate(std::span<const Item> items, const Interlude& interlude) {
  Pass& pass = next_pass(static_cast<bool>(interlude));
  ATELIER_CHECK_OK(prepare(items, pass));
  const size_t n_logits = pass.logit_rows.size() * info().vocab_size;
  if (pass.logits.size() < n_logits) pass.logits = Buffer<float>(n_logits);
  const MatView<float> logits(pass.logits.data(), pass.logit_rows.size(), info().vocab_size);
  ATELIER_CHECK_OK(run(items, pass, interlude, logits, {}));
  return MatView<const float>(logits);
}

Result<MatView<const float>> Engine::states(KvSequence& sequence, std::span<const TokenId> tokens,
                                            const Interlude& interlude) {
  const size_t d_model = info().d_model;
  if (d_model == 0)
    return fail(ErrorCode::kUnsupported, "states: expected a model that has some, found none");
  Pass& pass = next_pass(static_cast<bool>(interlude));
  const Item item{&sequence, tokens, Logits::kAll};
  ATELIER_CHECK_OK(prepare({&item, 1}, pass));
  if (pass.logits.size() < tokens.size() * d_model) pass.logits = Buffer<float>(tokens.size() * d_model);
  const MatView<float> states(pass.logits.data(), tokens.size(), d_model);
  ATELIER_CHECK_OK(run({&item, 1}, pass, interlude, {}, states));
  return MatView<const float>(states);
}

}  // namespace atelier
