// Texts as vectors: the body of /v1/embeddings, /api/embed and /api/embeddings, and the answer to it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/embedding.h"
#include "server/answer.h"
#include "server/catalogue.h"
#include "server/failure.h"
#include "server/fields.h"
#include "server/task.h"

namespace atelier::server {

struct EmbeddingsRequest {
  enum class Shape { kOpenAi, kOllama, kOllamaSingle };  // of the answer
  Shape shape = Shape::kOpenAi;
  std::string model{};
  std::vector<RawPrompt> inputs{};
  Pooling pooling = Pooling::kMean;
  std::optional<size_t> dimensions{};
  bool base64 = false;    // little-endian float32 as text instead of numbers
  bool truncate = false;  // what is longer than the context
  ErrorStyle style() const { return shape == Shape::kOpenAi ? ErrorStyle::kOpenAi : ErrorStyle::kOllama; }
};
Result<EmbeddingsRequest> parse_embeddings(const Json& body);
Result<EmbeddingsRequest> parse_ollama_embed(const Json& body);
Result<EmbeddingsRequest> parse_ollama_embeddings(const Json& body);

class EmbeddingAnswer final : public Answer {
 public:
  EmbeddingAnswer(EmbeddingsRequest request, Catalogue& catalogue);
  ~EmbeddingAnswer() override;  // what was not computed yet will not be

  void start(std::function<void()> wake) override;
  State poll(HttpResponse& piece) override;
  OrderedJson log_fields() const override;

 private:
  struct Vectors;  // shared with the scheduler
  struct Launch;   // shared with whoever loads the model

  std::shared_ptr<Vectors> vectors_;
  std::shared_ptr<Launch> launch_;
};

}  // namespace atelier::server
