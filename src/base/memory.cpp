#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace atelier {
namespace {

uint64_t meminfo_bytes(const std::string& wanted) {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (uint64_t kib = 0; file >> key >> kib; std::getline(file, unit))
    if (key == wanted) return kib * 1024;
  return 0;
}

// Bytes left below the cgroup's limit; no limit reads as "max", which does not parse as a number.
uint64_t cgroup_left_bytes() {
  uint64_t limit = 0, used = 0;
  if (!(std::ifstream("/sys/fs/cgroup/memory.max") >> limit)) return std::numeric_limits<uint64_t>::max();
  std::ifstream("/sys/fs/cgroup/memory.current") >> used;
  return limit - std::min(limit, used);
}

}  // namespace

uint64_t available_memory_bytes() { return std::min(meminfo_bytes("MemAvailable:"), cgroup_left_bytes()); }

uint64_t total_memory_bytes() { return meminfo_bytes("MemTotal:"); }

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace atelier
