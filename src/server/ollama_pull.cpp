// Ollama: how a model gets here, with a line for every step (/api/pull).
#include <atomic>

#include "io/pull.h"
#include "models/registry.h"
#include "server/app.h"
#include "server/limits.h"
#include "server/ollama.h"

namespace atelier::server {
namespace {

// What the thread that pulls and the answer share.
struct PullProgress {
  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::function<void()> wake{};
  std::string phase{};  // of `line`
  std::string lines{};  // of phases that are over
  std::string line{};   // the latest step: a client that reads slowly misses steps, not memory
  std::optional<Failure> failure{};
  bool done = false;

  void step(std::string_view name, uint64_t completed, uint64_t total) {
    const std::lock_guard lock(mutex);
    if (name != phase) lines += std::exchange(line, {});
    phase = name;
    line = to_text({{"status", name}, {"total", total}, {"completed", completed}}) + "\n";
    if (wake) wake();
  }
  void finish(std::optional<Failure> failed) {
    const std::lock_guard lock(mutex);
    failure = std::move(failed);
    done = true;
    if (wake) wake();
  }
};

void pull_into_store(const std::string& name, PullProgress& progress) {
  TransferHooks hooks;
  hooks.cancelled = [&progress] { return progress.cancelled.load(); };
  hooks.progress = [&progress](std::string_view phase, uint64_t done, uint64_t total) {
    progress.step(phase, done, total);
  };
  const Result<Store> store = Store::open();
  const PullOptions options{.names_only = true, .name = {}, .runs = is_model_architecture};
  const Result<StoredModel> model =
      store ? pull(*store, name, hooks, options) : tl::unexpected<Error>(store.error());
  progress.finish(model ? std::nullopt : std::optional(to_failure(model.error())));
}

class PullAnswer final : public Answer {
 public:
  PullAnswer(std::shared_ptr<PullProgress> progress, bool stream)
      : progress_(std::move(progress)), stream_(stream) {}
  ~PullAnswer() override {
    const std::lock_guard lock(progress_->mutex);
    progress_->wake = nullptr;
    progress_->cancelled = true;
  }

  void start(std::function<void()> wake) override {
    const std::lock_guard lock(progress_->mutex);
    progress_->wake = std::move(wake);
  }

  State poll(HttpResponse& piece) override {
    constexpr std::string_view kSuccess = R"({"status":"success"})";
    PullProgress& progress = *progress_;
    const std::lock_guard lock(progress.mutex);
    if (!stream_) {
      if (!progress.done) return State::kWaiting;
      piece = progress.failure ? failure_response(ErrorStyle::kOllama, *progress.failure)
                               : HttpResponse{.body = std::string(kSuccess)};
      return State::kDone;
    }
    piece.content_type = "application/x-ndjson";
    piece.body += std::exchange(progress.lines, {}) + std::exchange(progress.line, {});
    if (!progress.done) return piece.body.empty() ? State::kWaiting : State::kMore;
    piece.body += progress.failure ? failure_json(ErrorStyle::kOllama, *progress.failure) : kSuccess;
    piece.body += "\n";
    return State::kDone;
  }

 private:
  std::shared_ptr<PullProgress> progress_;
  bool stream_;
};

// Names only: a path would let whoever may connect read this machine's files into the store, an address ask
// whatever this machine can reach.
Status check_pull_name(std::string_view name) {
  if (is_model_name(name)) return {};
  return fail(ErrorCode::kNotFound,
              "model: expected {}, gpt-oss-20b or a repository \"owner/name\", found \"{}\"", kStarterName,
              name.substr(0, 100));
}

Result<std::unique_ptr<Answer>> pull_model(App& app, const HttpRequest& http) {
  ATELIER_TRY(const std::string model, ollama_model_name(http));
  ATELIER_TRY(const Json json, parse_body(http.body));
  ATELIER_TRY(const auto stream, Fields(json).boolean("stream"));
  std::string name(without_latest(model));
  ATELIER_CHECK_OK(check_pull_name(name));
  const auto progress = std::make_shared<PullProgress>();
  if (!app.pulls.start([name = std::move(name), progress] { pull_into_store(name, *progress); }))
    return fail(ErrorCode::kOverloaded, "downloads: expected at most {} at a time, found more", kMaxPulls);
  return std::make_unique<PullAnswer>(progress, stream.value_or(true));
}

}  // namespace

void add_ollama_pull(Router& router, App& app) {
  router.add({.method = "POST",
              .pattern = "/api/pull",
              .handler =
                  [&app](HttpRequest http, const PathParameters&) {
                    Result<std::unique_ptr<Answer>> answer = pull_model(app, http);
                    return answer ? std::move(*answer)
                                  : ready(failure_response(ErrorStyle::kOllama, to_failure(answer.error())));
                  },
              .style = ErrorStyle::kOllama});
}

}  // namespace atelier::server
