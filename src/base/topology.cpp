#include "base/topology.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#ifndef ATELIER_NO_HWLOC
#include <hwloc.h>
#endif

namespace atelier {
namespace {

size_t cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return SIZE_MAX;
  return static_cast<size_t>(std::max(1.0, std::stod(quota) / period));
}

// "0-3,8,10-11", as /sys writes sets. What does not parse ends the list.
std::set<int> read_cpu_list(const std::string& path) {
  std::set<int> cpus;
  std::ifstream file(path);
  int first = 0;
  while (file >> first) {
    int last = first;
    if (file.peek() == '-') file.ignore() >> last;
    for (int cpu = first; cpu <= last && cpu < CPU_SETSIZE; ++cpu) cpus.insert(cpu);
    if (file.peek() != ',') break;
    file.ignore();
  }
  return cpus;
}

#ifndef ATELIER_NO_HWLOC
struct TopologyDeleter {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyDeleter>;

Topology load_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Topology topology(raw);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING);
  return hwloc_topology_load(raw) == 0 ? std::move(topology) : nullptr;
}

// Processors of the kind that hwloc ranks fastest; all, if there is but one kind or no ranking.
bool is_fastest(hwloc_topology* topology, const hwloc_obj* core) {
  const int kinds = hwloc_cpukinds_get_nr(topology, 0);
  if (kinds <= 1) return true;
  int efficiency = -1;
  const std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)> cpus(hwloc_bitmap_alloc(),
                                                                           hwloc_bitmap_free);
  if (hwloc_cpukinds_get_info(topology, static_cast<unsigned>(kinds - 1), cpus.get(), &efficiency, nullptr,
                              nullptr, 0) != 0 ||
      efficiency < 0)
    return true;
  return hwloc_bitmap_intersects(cpus.get(), core->cpuset) != 0;
}
#endif

}  // namespace

#ifdef ATELIER_NO_HWLOC
// Every processor that is allowed, as if all were cores of one kind on one node.
std::vector<Core> fastest_cores() {
  std::vector<Core> cores;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cores.push_back({cpu, 0});
  return cores;
}
#else
std::vector<Core> fastest_cores() {
  std::vector<Core> cores;
  const Topology topology = load_topology();
  if (topology == nullptr) return cores;
  for (hwloc_obj_t core = nullptr;
       (core = hwloc_get_next_obj_by_type(topology.get(), HWLOC_OBJ_CORE, core)) != nullptr;) {
    const int cpu = hwloc_bitmap_first(core->cpuset);
    if (cpu < 0 || !is_fastest(topology.get(), core)) continue;
    cores.push_back({cpu, std::max(0, hwloc_bitmap_first(core->nodeset))});
  }
  std::ranges::sort(cores, {}, [](const Core& core) { return std::pair(core.node, core.cpu); });
  return cores;
}
#endif

size_t default_thread_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  // The kernel lists the fast cores of Intel's hybrid machines; elsewhere the file does not exist.
  const std::set<int> fast = read_cpu_list("/sys/devices/cpu_core/cpus");
  std::set<std::pair<long, long>> cores, fast_cores;  // (package, core): hyper-threads of one core count once
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    long package = 0, core = cpu;
    std::ifstream(topology + "physical_package_id") >> package;
    std::ifstream(topology + "core_id") >> core;
    cores.emplace(package, core);
    if (fast.contains(cpu)) fast_cores.emplace(package, core);
  }
  return std::clamp<size_t>(fast_cores.empty() ? cores.size() : fast_cores.size(), 1, cgroup_quota());
}

size_t numa_node_count() {
  return std::max<size_t>(1, read_cpu_list("/sys/devices/system/node/online").size());
}

bool pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace atelier
