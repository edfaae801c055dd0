#include "base/threads.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "base/topology.h"

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

}  // namespace

// Tasks [begin, end) that a thread has before it, taken one by one: from the front by the thread itself, from
// the back by others that have run out of their own. A line of its own: as a rule nobody else looks.
class alignas(kCacheLineBytes) TaskRange {
 public:
  static constexpr size_t kNone = SIZE_MAX;
  void set(size_t begin, size_t end) { range_.store(begin | end << 32, std::memory_order_relaxed); }
  size_t take_first() {
    return take([](uint64_t) { return uint64_t{1}; }, [](uint64_t range) { return range & kMask; });
  }
  size_t take_last() {
    return take([](uint64_t) { return uint64_t{0} - (uint64_t{1} << 32); },
                [](uint64_t range) { return (range >> 32) - 1; });
  }

 private:
  static constexpr uint64_t kMask = 0xffffffff;
  template <class Change, class Task>
  size_t take(Change change, Task task) {
    uint64_t range = range_.load(std::memory_order_relaxed);
    while ((range & kMask) < range >> 32)
      if (range_.compare_exchange_weak(range, range + change(range), std::memory_order_relaxed))
        return task(range);
    return kNone;
  }
  std::atomic<uint64_t> range_{0};  // begin in the lower half, end in the upper
};

// A round is open while the caller hands out its tasks. Helpers join an open round, work, and leave; the
// caller closes it when no task is left and waits only for those who joined. A helper that the scheduler
// keeps off the processor is therefore never waited for: its share is done by the others.
struct ThreadPool::State {
  static constexpr uint64_t kJoinedMask = 0xffff;
  static constexpr uint64_t kOpen = 1 << 16;
  static constexpr uint64_t kRoundStep = 1 << 17;

  // Joined helpers in bits 0–15, whether the round is open in bit 16, the number of the round above.
  alignas(kCacheLineBytes) std::atomic<uint64_t> gate{0};
  // Written by the caller between rounds, read by helpers that joined.
  alignas(kCacheLineBytes) Erased call = nullptr;
  void* fn = nullptr;
  std::atomic<bool> stop{false};
  std::vector<TaskRange> ranges;  // [thread]

  std::mutex mutex;
  std::condition_variable wake_helpers;
  std::condition_variable wake_caller;
  std::atomic<int> sleeping_helpers{0};
  std::atomic<int> sleeping_caller{0};
  std::vector<std::thread> threads;

  explicit State(size_t n_threads) : ranges(n_threads) {}

  // Equal shares of neighbouring tasks: a thread reads on where its last task ended, and round for round the
  // same part of the same weights.
  void hand_out(size_t n_tasks) {
    const size_t n = ranges.size();
    for (size_t t = 0; t < n; ++t) ranges[t].set(n_tasks * t / n, n_tasks * (t + 1) / n);
  }

  void work(size_t thread) {
    for (size_t task; (task = ranges[thread].take_first()) != TaskRange::kNone;) call(fn, task, thread);
    for (size_t i = 1; i < ranges.size(); ++i) {
      TaskRange& other = ranges[(thread + i) % ranges.size()];
      for (size_t task; (task = other.take_last()) != TaskRange::kNone;) call(fn, task, thread);
    }
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

ThreadPool::ThreadPool(const ThreadPoolOptions& options)
    : n_threads_(options.n_threads == 0 ? default_thread_count() : options.n_threads),
      state_(std::make_unique<State>(n_threads_)) {
  // On machines of several NUMA nodes threads that wander would leave the memory they filled behind.
  const bool pin = options.pin == Pinning::kOn || (options.pin == Pinning::kAuto && numa_node_count() > 1);
  const std::vector<Core> cores = pin ? fastest_cores() : std::vector<Core>();
  for (size_t thread = 1; thread < n_threads_; ++thread) {
    const int cpu = thread < cores.size() ? cores[thread].cpu : -1;
    state_->threads.emplace_back([this, thread, cpu] {
      if (cpu >= 0) pin_to(cpu);
      state_->helper(thread);
    });
  }
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
  ATELIER_CHECK(n_tasks < (uint64_t{1} << 32));
  State& s = *state_;
  s.call = call;
  s.fn = fn;
  s.hand_out(n_tasks);
  s.open_round();
  s.work(0);
  s.close_round();
}

}  // namespace atelier
