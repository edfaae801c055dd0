#include "server/embeddings.h"

#include <openssl/evp.h>

#include <bit>

#include "server/app.h"
#include "server/limits.h"
#include "server/raw_prompts.h"

namespace atelier::server {
namespace {

Status read_pooling(const Fields& body, EmbeddingsRequest& request) {
  ATELIER_TRY(const auto pooling, body.text("pooling"));
  if (pooling && *pooling != "mean" && *pooling != "last")
    return body.wrong("pooling", "mean or last", body.find("pooling"));
  request.pooling = pooling == "last" ? Pooling::kLast : Pooling::kMean;
  ATELIER_TRY(const auto dimensions, body.integer("dimensions", 1, INT32_MAX));
  if (dimensions) request.dimensions = static_cast<size_t>(*dimensions);
  return {};
}

std::string base64_of(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  const size_t bytes = values.size() * sizeof(float);
  std::string out((bytes + 2) / 3 * 4 + 1, '\0');  // and the terminator that OpenSSL writes
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(values.data()), static_cast<int>(bytes));
  out.pop_back();
  return out;
}

}  // namespace

Result<EmbeddingsRequest> parse_embeddings(const Json& json) {
  const Fields body(json);
  EmbeddingsRequest request;
  ATELIER_TRY(auto model, body.text("model"));
  request.model = model.value_or("");
  ATELIER_CHECK_OK(read_raw_prompts(body, "input", kMaxInputs, request.inputs));
  ATELIER_CHECK_OK(read_pooling(body, request));
  ATELIER_TRY(const auto format, body.text("encoding_format"));
  if (format && *format != "float" && *format != "base64")
    return body.wrong("encoding_format", "float or base64", body.find("encoding_format"));
  request.base64 = format == "base64";
  return request;
}

Result<EmbeddingsRequest> parse_ollama_embed(const Json& json) {
  const Fields body(json);
  EmbeddingsRequest request{.shape = EmbeddingsRequest::Shape::kOllama};
  ATELIER_TRY(request.model, body.required_text("model"));
  ATELIER_CHECK_OK(read_raw_prompts(body, "input", kMaxInputs, request.inputs));
  ATELIER_CHECK_OK(read_pooling(body, request));
  ATELIER_TRY(const auto truncate, body.boolean("truncate"));
  request.truncate = truncate.value_or(true);
  return request;
}

Result<EmbeddingsRequest> parse_ollama_embeddings(const Json& json) {
  const Fields body(json);
  EmbeddingsRequest request{.shape = EmbeddingsRequest::Shape::kOllamaSingle, .truncate = true};
  ATELIER_TRY(request.model, body.required_text("model"));
  ATELIER_TRY(std::string prompt, body.required_text("prompt"));
  request.inputs.emplace_back(std::move(prompt));
  ATELIER_CHECK_OK(read_pooling(body, request));
  return request;
}

// What comes back. Holds no model: the scheduler's thread may be the last to let go of it.
struct EmbeddingAnswer::Vectors {
  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::function<void()> wake{};
  std::optional<Failure> failure{};
  std::vector<std::vector<float>> values{};  // [inputs]
  size_t missing = 0;
  bool launched = false;  // `missing` counts

  void fail_with(Failure why) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::move(why);
    cancelled = true;
    if (wake) wake();
  }
  void add(size_t index, Result<std::vector<float>> vector) {
    if (!vector) return fail_with(to_failure(vector.error()));
    const std::lock_guard lock(mutex);
    values[index] = std::move(*vector);
    if (--missing == 0 && wake) wake();
  }
  bool done() const { return failure || (launched && missing == 0); }
};

struct EmbeddingAnswer::Launch {
  Launch(EmbeddingsRequest request_in, std::shared_ptr<Vectors> vectors_in)
      : request(std::move(request_in)), vectors(std::move(vectors_in)) {}
  EmbeddingsRequest request;
  std::shared_ptr<Vectors> vectors;
  ModelInUse model{};
  size_t n_tokens = 0;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now(), loaded = began;

  void run(Result<ModelInUse> acquired);
  Status submit_all();
  OrderedJson answer() const;
};

void EmbeddingAnswer::Launch::run(Result<ModelInUse> acquired) {
  if (vectors->cancelled) return;
  if (!acquired) return vectors->fail_with(to_failure(acquired.error()));
  model = std::move(*acquired);
  loaded = std::chrono::steady_clock::now();
  if (const Status submitted = submit_all(); !submitted) {
    Failure failure = to_failure(submitted.error());
    if (failure.status == 429) failure.retry_after = model.lease->scheduler.retry_after();
    vectors->fail_with(std::move(failure));
  }
}

Status EmbeddingAnswer::Launch::submit_all() {
  const Engine& engine = model.lease->engine();
  const size_t width = engine.info().d_model;
  if (request.dimensions && *request.dimensions != width)
    return fail(ErrorCode::kUnsupported, "dimensions: expected {}, which is what the model has, found {}",
                width, *request.dimensions);
  {
    const std::lock_guard lock(vectors->mutex);
    vectors->values.resize(request.inputs.size());
    vectors->missing = request.inputs.size();
    vectors->launched = true;
  }
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    std::vector<TokenId> ids = raw_prompt_ids(request.inputs[i], engine.tokenizer(), Specials::kAsText);
    if (request.truncate && ids.size() > engine.context_length()) ids.resize(engine.context_length());
    n_tokens += ids.size();
    const auto keep = [vectors = vectors, i](Result<std::vector<float>> vector) {
      vectors->add(i, std::move(vector));
    };
    const auto cancelled = std::shared_ptr<const std::atomic<bool>>(vectors, &vectors->cancelled);
    const Status queued = model.lease->scheduler.embed(
        {.tokens = std::move(ids), .pooling = request.pooling, .ready = keep, .cancelled = cancelled});
    if (!queued) return fail_in(fmt::format("input[{}]", i), queued.error());
  }
  return {};
}

OrderedJson EmbeddingAnswer::Launch::answer() const {
  const auto one = [&](const std::vector<float>& values) {
    return request.base64 ? OrderedJson(base64_of(values)) : OrderedJson(values);
  };
  OrderedJson all = OrderedJson::array();
  if (request.shape == EmbeddingsRequest::Shape::kOpenAi) {
    for (size_t i = 0; i < vectors->values.size(); ++i)
      all.push_back({{"object", "embedding"}, {"index", i}, {"embedding", one(vectors->values[i])}});
    return {{"object", "list"},
            {"data", std::move(all)},
            {"model", model.id},
            {"usage", {{"prompt_tokens", n_tokens}, {"total_tokens", n_tokens}}}};
  }
  if (request.shape == EmbeddingsRequest::Shape::kOllamaSingle)
    return {{"embedding", one(vectors->values[0])}};
  for (const std::vector<float>& values : vectors->values) all.push_back(one(values));
  const auto since = [](auto from, auto to) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
  };
  return {{"model", model.id},
          {"embeddings", std::move(all)},
          {"total_duration", since(began, std::chrono::steady_clock::now())},
          {"load_duration", since(began, loaded)},
          {"prompt_eval_count", n_tokens}};
}

EmbeddingAnswer::EmbeddingAnswer(EmbeddingsRequest request, Catalogue& catalogue)
    : vectors_(std::make_shared<Vectors>()), launch_(std::make_shared<Launch>(std::move(request), vectors_)) {
  const Result<CatalogueEntry> entry = catalogue.find(launch_->request.model);
  if (entry)
    catalogue.acquire(*entry,
                      [launch = launch_](Result<ModelInUse> model) { launch->run(std::move(model)); });
  else
    launch_->run(tl::unexpected<Error>(entry.error()));
}

EmbeddingAnswer::~EmbeddingAnswer() {
  const std::lock_guard lock(vectors_->mutex);
  vectors_->wake = nullptr;
  vectors_->cancelled = true;
}

void EmbeddingAnswer::start(std::function<void()> wake) {
  const std::lock_guard lock(vectors_->mutex);
  vectors_->wake = std::move(wake);
}

Answer::State EmbeddingAnswer::poll(HttpResponse& piece) {
  const std::lock_guard lock(vectors_->mutex);
  if (!vectors_->done()) return State::kWaiting;
  piece = vectors_->failure ? failure_response(launch_->request.style(), *vectors_->failure)
                            : HttpResponse{.body = to_text(launch_->answer())};
  return State::kDone;
}

OrderedJson EmbeddingAnswer::log_fields() const {
  const std::lock_guard lock(vectors_->mutex);
  if (vectors_->failure) return {{"error", vectors_->failure->message}};
  if (!vectors_->done()) return OrderedJson::object();
  return {{"model", launch_->model.id}, {"prompt_tokens", launch_->n_tokens}};
}

void add_embeddings(Router& router, App& app) {
  const auto add = [&](const char* pattern, ErrorStyle style,
                       Result<EmbeddingsRequest> (*parse)(const Json&)) {
    const auto handler = [&app, style, parse](HttpRequest http,
                                              const PathParameters&) -> std::unique_ptr<Answer> {
      const Result<Json> body = parse_body(http.body);
      Result<EmbeddingsRequest> request = body ? parse(*body) : tl::unexpected<Error>(body.error());
      if (!request) return ready(failure_response(style, to_failure(request.error())));
      return std::make_unique<EmbeddingAnswer>(std::move(*request), app.catalogue);
    };
    router.add({.method = "POST", .pattern = pattern, .handler = handler, .style = style});
  };
  add("/v1/embeddings", ErrorStyle::kOpenAi, parse_embeddings);
  add("/api/embed", ErrorStyle::kOllama, parse_ollama_embed);
  add("/api/embeddings", ErrorStyle::kOllama, parse_ollama_embeddings);
}

}  // namespace atelier::server
