// What a fork-join of the thread pool costs, and how evenly uneven tasks end.
//
//   bench_fork_join [--threads N] [--rounds N]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/threads.h"

namespace {

using namespace atelier;
using Clock = std::chrono::steady_clock;

double micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

// Computes for about `nanos`, touching no memory.
void spin(double nanos) {
  const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(static_cast<long>(nanos));
  while (Clock::now() < end) {
  }
}

struct Spread {
  double median = 0, p90 = 0, p99 = 0;
};
template <class Fn>
Spread measure(size_t rounds, Fn fn, double pause_nanos = 0) {
  std::vector<double> samples(rounds);
  for (double& sample : samples) {
    spin(pause_nanos);
    const Clock::time_point start = Clock::now();
    fn();
    sample = micros(Clock::now() - start);
  }
  std::ranges::sort(samples);
  return {samples[rounds / 2], samples[rounds * 9 / 10], samples[rounds * 99 / 100]};
}

}  // namespace

int main(int argc, char** argv) {
  size_t threads = 0, rounds = 20000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (argv[i] == std::string("--threads")) threads = std::strtoul(argv[i + 1], nullptr, 10);
    if (argv[i] == std::string("--rounds")) rounds = std::strtoul(argv[i + 1], nullptr, 10);
  }
  ThreadPool pool(threads);
  const auto print = [](const char* what, const Spread& s) {
    fmt::print("{:44}{:9.2f}{:9.2f}{:9.2f}\n", what, s.median, s.p90, s.p99);
  };
  fmt::print("{} threads, us{:>42}{:>9}{:>9}\n", pool.size(), "median", "90 %", "99 %");
  print("empty round, a task a thread",
        measure(rounds, [&] { pool.run(pool.size(), [](size_t, size_t) {}); }));
  print("64 empty tasks", measure(rounds, [&] { pool.run(64, [](size_t, size_t) {}); }));
  const auto busy = static_cast<double>(pool.size());
  print("64 tasks, 100 us of work a thread",
        measure(rounds / 20, [&] { pool.run(64, [&](size_t, size_t) { spin(100e3 * busy / 64); }); }));
  print("the same, the first 4 tasks 5 times as long", measure(rounds / 20, [&] {
          pool.run(64, [&](size_t task, size_t) { spin(100e3 * busy / 80 * (task < 4 ? 5 : 1)); });
        }));
  print("a task a thread, 20 us after the last round",
        measure(rounds / 20, [&] { pool.run(pool.size(), [](size_t, size_t) {}); }, 20e3));
  print("a task a thread, helpers asleep",
        measure(rounds / 200, [&] { pool.run(pool.size(), [](size_t, size_t) {}); }, 2e6));
  return 0;
}
