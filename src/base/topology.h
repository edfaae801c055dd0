// Which processors to compute on: one hardware thread of each core of the fastest kind, near each other.
#pragma once

#include <cstddef>
#include <vector>

namespace atelier {

struct Core {
  int cpu = 0;   // its first hardware thread that this process may use
  int node = 0;  // the NUMA node it belongs to
};

// Cores this process may use, those of one NUMA node side by side; of machines with fast and slow cores only
// the fast ones. From hwloc, which takes milliseconds; empty if it cannot say.
std::vector<Core> fastest_cores();

// How many of them there are, bounded by the cgroup's quota and read from /sys in microseconds; at least 1.
size_t default_thread_count();

// NUMA nodes of the machine; 1 if unknown.
size_t numa_node_count();

// Keeps the calling thread on `cpu`; false if the system refuses.
bool pin_to(int cpu);

}  // namespace atelier
