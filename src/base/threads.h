// A pool for fork-join over the cores: the caller works too, helpers spin briefly and then sleep.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace atelier {

class ThreadPool {
 public:
  // `n_threads` counts the caller; 1 runs everything inline. 0: one per physical core this process may use.
  explicit ThreadPool(size_t n_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return n_threads_; }

  // Calls fn(task, thread) for every task in [0, n_tasks), thread < size(); returns when all are done.
  // Tasks are handed out one at a time in ascending order, so uneven tasks balance themselves; which thread
  // runs a task is not defined: results must not depend on it. Not reentrant; one caller at a time.
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

// Physical cores in this process's affinity mask, bounded by the cgroup's CPU quota; at least 1.
size_t default_thread_count();

}  // namespace atelier
