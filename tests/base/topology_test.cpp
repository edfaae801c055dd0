#include "base/topology.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <set>
#include <thread>

#include "base/threads.h"

namespace atelier {
namespace {

TEST(Topology, DefaultIsAtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(default_thread_count(), 1u);
  EXPECT_LE(default_thread_count(), std::max(1u, std::thread::hardware_concurrency()));
  EXPECT_GE(numa_node_count(), 1u);
}

TEST(Topology, CoresAreDistinctAndAllowed) {
  const std::vector<Core> cores = fastest_cores();
  ASSERT_FALSE(cores.empty());
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  std::set<int> cpus;
  for (const Core& core : cores) {
    EXPECT_TRUE(CPU_ISSET(core.cpu, &allowed));
    EXPECT_TRUE(cpus.insert(core.cpu).second);
  }
  for (size_t i = 1; i < cores.size(); ++i) EXPECT_LE(cores[i - 1].node, cores[i].node);
}

TEST(Topology, CountsWhatTheAffinityAllows) {
  std::thread([] {  // a thread of its own: affinity is a thread's
    const int cpu = fastest_cores().back().cpu;
    ASSERT_TRUE(pin_to(cpu));
    EXPECT_EQ(default_thread_count(), 1u);
  })
      .join();
}

TEST(Topology, PinnedHelpersStayOnCoresOfTheirOwn) {
  const std::vector<Core> cores = fastest_cores();
  ThreadPool pool({.n_threads = cores.size(), .pin = Pinning::kOn});
  std::vector<int> on(cores.size(), -1);
  pool.run(1000, [&](size_t, size_t thread) { on[thread] = sched_getcpu(); });
  for (size_t thread = 1; thread < cores.size(); ++thread) {
    if (on[thread] >= 0) {  // a helper that came too late ran nothing
      EXPECT_EQ(on[thread], cores[thread].cpu);
    }
  }
}

}  // namespace
}  // namespace atelier
