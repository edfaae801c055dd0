// A pool for fork-join over the cores: the caller works too, helpers spin briefly and then sleep.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace atelier {

enum class Pinning {
  kAuto,  // on machines with several NUMA nodes
  kOff,
  kOn,  // every helper on a core of its own; the caller is left to the system, which finds the core that is
        // left
};
struct ThreadPoolOptions {
  size_t n_threads = 0;  // counts the caller; 1 runs everything inline. 0: default_thread_count()
  Pinning pin = Pinning::kAuto;
};

class ThreadPool {
 public:
  explicit ThreadPool(const ThreadPoolOptions& options);
  explicit ThreadPool(size_t n_threads = 0) : ThreadPool(ThreadPoolOptions{.n_threads = n_threads}) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return n_threads_; }

  // Calls fn(task, thread) for every task in [0, n_tasks), thread < size(); returns when all are done.
  // Each thread starts on its share of neighbouring tasks, in ascending order, and when that is done takes
  // others' last ones, so that uneven tasks balance themselves; which thread runs a task is not defined:
  // results must not depend on it. Not reentrant; one caller at a time.
  template <class Fn>
  void run(size_t n_tasks, Fn&& fn) {
    using F = std::remove_reference_t<Fn>;
    run_erased(
        n_tasks, [](void* f, size_t task, size_t thread) { (*static_cast<F*>(f))(task, thread); },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

 private:
  using Erased = void (*)(void* fn, size_t task, size_t thread);
  void run_erased(size_t n_tasks, Erased call, void* fn);

  struct State;
  size_t n_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace atelier
