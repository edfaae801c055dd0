// Embeddings: prompts whose final states are wanted instead of a token. One at a time, a chunk a turn of the
// loop, with the same interludes that prompts make for running streams.
#include <algorithm>
#include <cmath>

#include "engine/scheduler_worker.h"

namespace atelier {

Status Scheduler::Worker::embed(EmbeddingRequest asked) {
  if (engine_->info().d_model == 0)
    return fail(ErrorCode::kUnsupported, "model: expected one with states to embed, found a script");
  ATELIER_CHECK_OK(check_prompt(asked.tokens));
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return fail(ErrorCode::kInterrupted, "shutting down: no new requests");
    if (embeddings_.size() >= options_.max_queued_embeddings) {
      ++metrics_.refused;
      return fail(ErrorCode::kOverloaded, "embeddings waiting: expected fewer than {}, found {}",
                  options_.max_queued_embeddings, embeddings_.size());
    }
    embeddings_.push_back(std::move(asked));
    active_.fetch_add(1);
    ++metrics_.requests;
  }
  doorbell_->ring();
  return {};
}

// A chunk of the text under way, or of the next. False if there is none.
bool Scheduler::Worker::embedding_step() {
  if (!embedding_) {
    const std::lock_guard lock(mutex_);
    if (embeddings_.empty()) return false;
    embedding_.emplace(std::move(embeddings_.front()), engine_->new_sequence());
    embeddings_.pop_front();
  }
  Embedding& text = *embedding_;
  const bool cancelled = text.asked.cancelled && *text.asked.cancelled;
  const bool somebody_decodes =
      std::ranges::any_of(running_, [](const auto& sequence) { return sequence->decoding(); });
  const auto tokens = std::span<const TokenId>(text.asked.tokens).subspan(text.kv.length());
  size_t n = std::min(tokens.size(), somebody_decodes ? pace_.tokens(work_limit()) : pace_.max_tokens());
  if (somebody_decodes) n = pace_.tokens_at(text.kv.length(), n, work_limit());
  Status room = cancelled ? fail(ErrorCode::kInterrupted, "embedding: cancelled") : text.kv.reserve(n);
  while (!room && !cancelled && cache_.evict_one()) room = text.kv.reserve(n);
  if (!room) {
    finish_embedding(std::move(room).error());
    return true;
  }
  PassParts parts;
  parts.add(n, text.kv.length());
  begin_parts(parts);
  const Result<MatView<const float>> states =
      engine_->states(text.kv, tokens.first(n), [this](PassPart next) { interlude(next); });
  end_parts();
  count([&](SchedulerMetrics& metrics) {
    ++metrics.steps;
    metrics.prefill_tokens += n;
  });
  if (!states) {
    finish_embedding(states.error());
    return true;
  }
  if (text.sum.empty()) text.sum.resize(states->cols);
  const size_t first = text.asked.pooling == Pooling::kLast ? states->rows - 1 : 0;
  if (text.asked.pooling == Pooling::kLast) std::ranges::fill(text.sum, 0.0);
  for (size_t row = first; row < states->rows; ++row)
    for (size_t i = 0; i < states->cols; ++i) text.sum[i] += static_cast<double>(states->row(row)[i]);
  if (n == tokens.size()) finish_embedding(std::nullopt);
  return true;
}

// The mean and the sum have the same direction, and the length becomes 1 anyway.
void Scheduler::Worker::finish_embedding(std::optional<Error> error) {
  const EmbeddingRequest asked = std::move(embedding_->asked);
  const std::vector<double> sum = std::move(embedding_->sum);
  embedding_.reset();  // its pages are back before anybody hears of it
  active_.fetch_sub(1);
  count([&](SchedulerMetrics& metrics) {
    ++(!error                                   ? metrics.finished
       : error->code == ErrorCode::kInterrupted ? metrics.cancelled
                                                : metrics.failed);
    if (!error) metrics.prompt_tokens += asked.tokens.size();
  });
  if (error) return asked.ready(tl::unexpected<Error>(std::move(*error)));
  double square = 0;
  for (const double value : sum) square += value * value;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  std::vector<float> out;
  for (const double value : sum) out.push_back(static_cast<float>(value * scale));
  asked.ready(std::move(out));
}

void Scheduler::Worker::end_embeddings() {
  std::deque<EmbeddingRequest> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(embeddings_);
  }
  const Error error{ErrorCode::kInterrupted, "shutting down"};
  if (embedding_) finish_embedding(error);
  for (const EmbeddingRequest& request : waiting) request.ready(tl::unexpected<Error>(error));
}

}  // namespace atelier
