#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace atelier {
namespace {

// One spin is about 40 cycles with `pause`: 4,000 of them are ~60 µs, longer than the gap between two ops of
// a forward pass and far shorter than a scheduler tick.
constexpr int kSpins = 4000;

void cpu_relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Waits until ready() holds: spinning first, then asleep on `wake`.
template <class Ready>
void wait_until(std::mutex& mutex, std::condition_variable& wake, std::atomic<int>& sleepers, Ready ready) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (ready()) return;
    cpu_relax();
  }
  std::unique_lock lock(mutex);
  sleepers.fetch_add(1);
  wake.wait(lock, ready);
  sleepers.fetch_sub(1);
}

size_t cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return SIZE_MAX;
  return static_cast<size_t>(std::max(1.0, std::stod(quota) / period));
}

}  // namespace

struct ThreadPool::State {
  // A round is announced by bumping `round`; helpers take tasks from `next`, then check out through
  // `running`.
  alignas(kCacheLineBytes) std::atomic<uint64_t> round{0};
  alignas(kCacheLineBytes) std::atomic<size_t> next{0};
  alignas(kCacheLineBytes) std::atomic<size_t> running{0};
  size_t n_tasks = 0;
  Erased call = nullptr;
  void* fn = nullptr;
  std::atomic<bool> stop{false};

  std::mutex mutex;
  std::condition_variable wake_helpers;
  std::condition_variable wake_caller;
  std::atomic<int> sleeping_helpers{0};
  std::atomic<int> sleeping_caller{0};
  std::vector<std::thread> threads;

  void work(size_t thread) {
    for (size_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < n_tasks;)
      call(fn, task, thread);
  }

  // A sleeper counts itself under the mutex before it looks at the condition one last time, so whoever
  // changed the condition first either sees the count or is seen.
  void notify(std::condition_variable& wake, std::atomic<int>& sleepers) {
    if (sleepers.load() == 0) return;
    {
      const std::lock_guard lock(mutex);
    }
    wake.notify_all();
  }

  void helper(size_t thread) {
    for (uint64_t seen = 0;;) {
      wait_until(mutex, wake_helpers, sleeping_helpers, [&] { return round.load() != seen; });
      seen = round.load();
      if (stop.load()) return;
      work(thread);
      if (running.fetch_sub(1) == 1) notify(wake_caller, sleeping_caller);
    }
  }
};

ThreadPool::ThreadPool(size_t n_threads)
    : n_threads_(n_threads == 0 ? default_thread_count() : n_threads), state_(std::make_unique<State>()) {
  for (size_t thread = 1; thread < n_threads_; ++thread)
    state_->threads.emplace_back([this, thread] { state_->helper(thread); });
}

ThreadPool::~ThreadPool() {
  State& s = *state_;
  s.stop.store(true);
  s.round.fetch_add(1);
  s.notify(s.wake_helpers, s.sleeping_helpers);
  for (std::thread& thread : s.threads) thread.join();
}

void ThreadPool::run_erased(size_t n_tasks, Erased call, void* fn) {
  if (n_threads_ == 1 || n_tasks <= 1) {
    for (size_t task = 0; task < n_tasks; ++task) call(fn, task, 0);
    return;
  }
  State& s = *state_;
  s.n_tasks = n_tasks;
  s.call = call;
  s.fn = fn;
  s.next.store(0, std::memory_order_relaxed);
  s.running.store(n_threads_ - 1, std::memory_order_relaxed);
  s.round.fetch_add(1);
  s.notify(s.wake_helpers, s.sleeping_helpers);
  s.work(0);
  wait_until(s.mutex, s.wake_caller, s.sleeping_caller, [&] { return s.running.load() == 0; });
}

size_t default_thread_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  std::set<std::pair<long, long>> cores;  // (package, core): hyper-threads of one core count once
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    long package = 0, core = cpu;
    std::ifstream(topology + "physical_package_id") >> package;
    std::ifstream(topology + "core_id") >> core;
    cores.emplace(package, core);
  }
  return std::clamp<size_t>(cores.size(), 1, cgroup_quota());
}

}  // namespace atelier
