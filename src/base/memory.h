// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace atelier {

// The smaller of what the kernel calls available (free plus reclaimable) and what this process's cgroup has
// left.
uint64_t available_memory_bytes();
uint64_t total_memory_bytes();
// The most memory this process ever had resident; mapped files count.
uint64_t peak_resident_bytes();

}  // namespace atelier
