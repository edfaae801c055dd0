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

// A round is open while the caller hands out its tasks. Helpers join an open round, work, and leave; the
// caller closes it when no task is left and waits only for those who joined. A helper that the scheduler
// keeps off the processor is therefore never waited for: its share is done by the others.
struct ThreadPool::State {
  static constexpr uint64_t kJoinedMask = 0xffff;
  static constexpr uint64_t kOpen = 1 << 16;
  static constexpr uint64_t kRoundStep = 1 << 17;

  // Joined helpers in bits 0–15, whether the round is open in bit 16, the number of the round above.
  alignas(kCacheLineBytes) std::atomic<uint64_t> gate{0};
  alignas(kCacheLineBytes) std::atomic<size_t> next{0};
  // Written by the caller between rounds, read by helpers that joined.
  alignas(kCacheLineBytes) size_t n_tasks = 0;
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

  static uint64_t round_of(uint64_t gate) { return gate / kRoundStep; }

  // Joins the round that is open now, if one is.
  bool join() {
    uint64_t seen = gate.load();
    while ((seen & kOpen) != 0)
      if (gate.compare_exchange_weak(seen, seen + 1)) return true;
    return false;
  }

  void helper(size_t thread) {
    for (uint64_t seen = 0;;) {
      wait_until(mutex, wake_helpers, sleeping_helpers, [&] { return round_of(gate.load()) != seen; });
      seen = round_of(gate.load());
      if (stop.load()) return;
      if (!join()) continue;
      work(thread);
      if ((gate.fetch_sub(1) & (kOpen | kJoinedMask)) == 1) notify(wake_caller, sleeping_caller);
    }
  }

  void open_round() {
    gate.fetch_add(kRoundStep | kOpen);
    notify(wake_helpers, sleeping_helpers);
  }

  void close_round() {
    gate.fetch_and(~kOpen);
    wait_until(mutex, wake_caller, sleeping_caller, [&] { return (gate.load() & kJoinedMask) == 0; });
  }
};

ThreadPool::ThreadPool(size_t n_threads)
    : n_threads_(n_threads == 0 ? default_thread_count() : n_threads), state_(std::make_unique<State>()) {
  for (size_t thread = 1; thread < n_threads_; ++thread)
    state_->threads.emplace_back([this, thread] { state_->helper(thread); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true);
  state_->open_round();
  for (std::thread& thread : state_->threads) thread.join();
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
  s.open_round();
  s.work(0);
  s.close_round();
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
