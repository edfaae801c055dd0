#include "server/model_answer.h"

namespace atelier::server {
namespace {

HttpResponse or_failure(Result<HttpResponse> made, ErrorStyle style) {
  return made ? std::move(*made) : failure_response(style, to_failure(made.error()));
}

}  // namespace

void ModelAnswer::Shared::finish(HttpResponse made) {
  const std::lock_guard lock(mutex);
  response = std::move(made);
  if (wake) wake();
}

ModelAnswer::ModelAnswer(Catalogue& catalogue, std::string_view model, ErrorStyle style, Make make)
    : shared_(std::make_shared<Shared>()) {
  const Result<CatalogueEntry> entry = catalogue.find(model);
  if (!entry) {
    shared_->finish(failure_response(style, to_failure(entry.error())));
    return;
  }
  catalogue.acquire(*entry, [shared = shared_, style, make = std::move(make)](Result<ModelInUse> acquired) {
    {
      const std::lock_guard lock(shared->mutex);
      if (shared->abandoned) return;
    }
    shared->finish(acquired ? or_failure(make(*acquired), style)
                            : failure_response(style, to_failure(acquired.error())));
  });
}

ModelAnswer::~ModelAnswer() {
  const std::lock_guard lock(shared_->mutex);
  shared_->abandoned = true;
  shared_->wake = nullptr;
}

void ModelAnswer::start(std::function<void()> wake) {
  const std::lock_guard lock(shared_->mutex);
  shared_->wake = std::move(wake);
}

Answer::State ModelAnswer::poll(HttpResponse& piece) {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->response) return State::kWaiting;
  piece = std::move(*shared_->response);
  return State::kDone;
}

}  // namespace atelier::server
