#include "base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace atelier {
namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  for (const size_t n_threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(n_threads);
    ASSERT_EQ(pool.size(), n_threads);
    for (const size_t n_tasks : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> hits(n_tasks);
      pool.run(n_tasks, [&](size_t task, size_t thread) {
        EXPECT_LT(thread, n_threads);
        hits[task].fetch_add(1);
      });
      for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
  }
}

// What a round wrote is visible to the caller, and to the next round on whatever thread.
TEST(ThreadPool, RoundsAreOrdered) {
  ThreadPool pool(4);
  std::vector<int> values(257, 0);
  for (int round = 0; round < 2000; ++round)
    pool.run(values.size(), [&](size_t task, size_t) { values[task] += 1; });
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 2000 * 257);
}

// Helpers that have gone to sleep wake up again.
TEST(ThreadPool, WakesSleepingHelpers) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> done{0};
    pool.run(64, [&](size_t, size_t) { done.fetch_add(1); });
    EXPECT_EQ(done.load(), 64);
  }
}

// Tasks left over by a thread that is busy elsewhere are done by the others, each once.
TEST(ThreadPool, UnevenTasksAreShared) {
  ThreadPool pool(3);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> done{0};
    pool.run(300, [&](size_t task, size_t) {
      // The first task waits until all others are done: they can only be if somebody takes its neighbours.
      if (task == 0)
        while (done.load() < 299) std::this_thread::yield();
      done.fetch_add(1);
    });
    EXPECT_EQ(done.load(), 300);
  }
}

}  // namespace
}  // namespace atelier
