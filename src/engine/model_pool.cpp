#include "engine/model_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

namespace atelier {

struct ModelPool::State {
  using Ready = std::function<void(Result<ModelLease>)>;
  struct Wanted {
    std::string name;
    std::vector<Ready> waiting;
  };

  State(Loader loader_in, const ModelPoolOptions& options_in)
      : loader(std::move(loader_in)), options(options_in), thread([this] { run(); }) {}

  void acquire(const std::string& name, Ready ready);
  ModelLease find(const std::string& name);
  Result<ModelLease> load(const std::string& name);
  ModelLease take_unused(const std::string* name);
  void drop_prefix_caches();
  void run();

  const Loader loader;
  const ModelPoolOptions options;

  std::mutex mutex;
  std::condition_variable changed;
  std::list<ModelLease> loaded;  // most recently used first
  std::deque<Wanted> wanted;     // the first one is being loaded
  size_t n_waiting = 0;
  bool stopping = false;

  std::thread thread;  // last: runs on everything above
};

ModelPool::ModelPool(Loader loader, const ModelPoolOptions& options)
    : state_(std::make_unique<State>(std::move(loader), options)) {}

ModelPool::~ModelPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

void ModelPool::acquire(const std::string& name, std::function<void(Result<ModelLease>)> ready) {
  state_->acquire(name, std::move(ready));
}

Result<ModelLease> ModelPool::acquire(const std::string& name) {
  std::promise<Result<ModelLease>> promise;
  std::future<Result<ModelLease>> lease = promise.get_future();
  state_->acquire(name, [&](Result<ModelLease> result) { promise.set_value(std::move(result)); });
  return lease.get();
}

std::vector<ModelLease> ModelPool::loaded() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->loaded.begin(), state_->loaded.end()};
}

bool ModelPool::unload(const std::string& name) { return state_->take_unused(&name) != nullptr; }

// Under the mutex. A model whose files went bad is forgotten: those who hold it keep it, others load it anew.
ModelLease ModelPool::State::find(const std::string& name) {
  const auto at = std::ranges::find_if(loaded, [&](const ModelLease& model) { return model->name == name; });
  if (at == loaded.end()) return nullptr;
  if (!(*at)->engine().check_files()) {
    loaded.erase(at);
    return nullptr;
  }
  loaded.splice(loaded.begin(), loaded, at);
  return loaded.front();
}

void ModelPool::State::acquire(const std::string& name, Ready ready) {
  Result<ModelLease> now = nullptr;
  {
    const std::lock_guard lock(mutex);
    if (stopping) {
      now = fail(ErrorCode::kInterrupted, "{}: shutting down", name);
    } else if (ModelLease model = find(name); model != nullptr) {
      now = std::move(model);
    } else if (n_waiting >= options.max_waiting) {
      now = fail(ErrorCode::kOverloaded,
                 "{}: requests waiting for models to load: expected fewer than {}, found {}; try again later",
                 name, options.max_waiting, n_waiting);
    } else {
      ++n_waiting;
      auto same = std::ranges::find(wanted, name, &Wanted::name);
      if (same == wanted.end()) same = wanted.insert(wanted.end(), {name, {}});
      same->waiting.push_back(std::move(ready));
      changed.notify_all();
      return;
    }
  }
  ready(std::move(now));
}

// Takes the model that nobody uses, the named one or else the least recently used, out of the pool. Null if
// there is none. The caller lets it go, without the mutex: that takes time.
ModelLease ModelPool::State::take_unused(const std::string* name) {
  const std::lock_guard lock(mutex);
  const auto unused = [&](const ModelLease& model) {
    return model.use_count() == 1 && (name == nullptr || model->name == *name);
  };
  const auto at = std::find_if(loaded.rbegin(), loaded.rend(), unused);
  if (at == loaded.rend()) return nullptr;
  ModelLease taken = std::move(*at);
  loaded.erase(std::next(at).base());
  return taken;
}

void ModelPool::State::drop_prefix_caches() {
  std::vector<ModelLease> models;
  {
    const std::lock_guard lock(mutex);
    models.assign(loaded.begin(), loaded.end());
  }
  for (const ModelLease& model : models) model->scheduler.drop_prefix_cache().wait();
}

Result<ModelLease> ModelPool::State::load(const std::string& name) {
  const auto full = [&] {
    const std::lock_guard lock(mutex);
    return loaded.size() >= std::max<size_t>(options.max_models, 1);
  };
  while (full())
    if (take_unused(nullptr) == nullptr)
      return fail(ErrorCode::kOverloaded, "{}: expected at most {} models loaded, found as many in use", name,
                  options.max_models);
  bool caches_dropped = false;
  for (;;) {
    Result<std::unique_ptr<Engine>> engine = loader(name);
    if (engine) return std::make_shared<ServedModel>(name, std::move(*engine), options.scheduler);
    Error error = std::move(engine).error();
    if (error.code != ErrorCode::kOutOfMemory) return tl::unexpected<Error>(std::move(error));
    if (take_unused(nullptr) != nullptr) continue;
    if (std::exchange(caches_dropped, true)) return tl::unexpected<Error>(std::move(error));
    drop_prefix_caches();
  }
}

void ModelPool::State::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return stopping || !wanted.empty(); });
    if (stopping) break;
    const std::string name = wanted.front().name;
    lock.unlock();
    Result<ModelLease> model = load(name);
    lock.lock();
    if (model) loaded.push_front(*model);
    const std::vector<Ready> waiting = std::move(wanted.front().waiting);
    wanted.pop_front();
    n_waiting -= waiting.size();
    lock.unlock();
    // The last one takes it over: whoever was told finds no use of the model here any more.
    for (size_t i = 0; i + 1 < waiting.size(); ++i) waiting[i](model);
    waiting.back()(std::move(model));
    lock.lock();
  }
  const std::deque<Wanted> left = std::exchange(wanted, {});
  lock.unlock();
  for (const Wanted& want : left)
    for (const Ready& ready : want.waiting)
      ready(fail(ErrorCode::kInterrupted, "{}: shutting down", want.name));
}

}  // namespace atelier
