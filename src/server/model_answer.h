// Answers that need a model, but no tokens of it: waits for the model without holding a worker.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "server/answer.h"
#include "server/catalogue.h"
#include "server/failure.h"

namespace atelier::server {

class ModelAnswer final : public Answer {
 public:
  // `make` runs once, on the thread that has the model.
  using Make = std::function<Result<HttpResponse>(const ModelInUse&)>;
  ModelAnswer(Catalogue& catalogue, std::string_view model, ErrorStyle style, Make make);
  ~ModelAnswer() override;

  void start(std::function<void()> wake) override;
  State poll(HttpResponse& piece) override;

 private:
  struct Shared {
    std::mutex mutex;
    std::function<void()> wake;
    std::optional<HttpResponse> response;
    bool abandoned = false;
    void finish(HttpResponse made);
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace atelier::server
