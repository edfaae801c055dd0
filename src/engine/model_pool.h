// Several models behind one server: loaded when first asked for, let go when memory is needed for another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/scheduler.h"

namespace atelier {

// A model in use: as long as anybody holds it, it stays. It must not be let go of in a callback of its own
// scheduler (GenerationStream::when_ready), whose thread cannot wait for itself.
struct ServedModel {
  ServedModel(std::string name_in, std::unique_ptr<Engine> engine, const SchedulerOptions& options)
      : name(std::move(name_in)), scheduler(std::move(engine), options) {}
  const std::string name;
  Scheduler scheduler;
  const Engine& engine() const { return scheduler.engine(); }
};
using ModelLease = std::shared_ptr<ServedModel>;

struct ModelPoolOptions {
  size_t max_models = 4;    // kept loaded at a time; one that is not in use makes room
  size_t max_waiting = 64;  // callers waiting for loads; more are refused with kOverloaded
  SchedulerOptions scheduler;
};

class ModelPool {
 public:
  // Opens the model a client named: kNotFound for names it does not know, kOutOfMemory (needed and available
  // bytes) where it does not fit. Called on the pool's own thread, one load at a time.
  using Loader = std::function<Result<std::unique_ptr<Engine>>(const std::string& name)>;

  ModelPool(Loader loader, const ModelPoolOptions& options);
  // Callers still waiting get kInterrupted. Leases may outlive the pool.
  ~ModelPool();
  ModelPool(const ModelPool&) = delete;
  ModelPool& operator=(const ModelPool&) = delete;

  // Calls `ready` once with the model: at once, in this call, if it is loaded, else on the pool's thread
  // after loading. A model that does not fit pushes out others that nobody uses, least recently used first;
  // only when none is left does its kOutOfMemory come back. A loaded model whose files went bad is loaded
  // again.
  void acquire(const std::string& name, std::function<void(Result<ModelLease>)> ready);
  // The same, waiting. Not from within `ready`.
  Result<ModelLease> acquire(const std::string& name);

  // Most recently used first; looking does not count as use, but holds them for as long as the result lives.
  std::vector<ModelLease> loaded() const;
  // Lets go of a model nobody uses. False if it is not loaded or in use.
  bool unload(const std::string& name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atelier
