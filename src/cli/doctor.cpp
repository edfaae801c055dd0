// atelier doctor: what this machine has, and what fits on it.
#include <sys/statvfs.h>

#include <nlohmann/json.hpp>

#include "agent/sandbox/sandbox.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "io/store.h"
#include "kernels/cpu/probe/probe.h"

namespace atelier::cli {
namespace {

constexpr size_t kBandwidthProbeBytes = size_t{1} << 30;

// The nearest folder above `path` that exists: the store need not be there yet.
uint64_t free_disk_bytes(std::filesystem::path path) {
  std::error_code ignored;
  while (!path.empty() && !std::filesystem::exists(path, ignored) && path != path.parent_path())
    path = path.parent_path();
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return 0;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

double gb(uint64_t bytes) { return static_cast<double>(bytes) / 1e9; }

Status run_doctor(bool json) {
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoreListing listing, store.list());
  ThreadPool pool;
  const uint64_t available = available_memory_bytes();
  const size_t probe_bytes = std::min<uint64_t>(kBandwidthProbeBytes, available / 4);
  const double read_bytes_s = kernels::measure_read_bandwidth(pool, probe_bytes);
  const double int8_ops_s = kernels::measure_int8_peak(pool);
  const std::string processor = processor_name();
  const std::vector<std::string> gpus = graphics_processors();
  const uint64_t disk = free_disk_bytes(store.root());
  const agent::SandboxSupport sandbox = agent::sandbox_support(std::filesystem::current_path());
  if (json) {
    nlohmann::json models = nlohmann::json::array();
    for (const StoredModel& model : listing.models)
      models.push_back(
          {{"name", model.name}, {"bytes", model.total_bytes()}, {"fits", model.total_bytes() < available}});
    return print_json(
        {{"processor", processor},
         {"isa", {{"detected", isa_name(detected_isa())}, {"active", isa_name(active_isa())}}},
         {"threads", pool.size()},
         {"memory", {{"total_bytes", total_memory_bytes()}, {"available_bytes", available}}},
         {"read_gb_s", read_bytes_s / 1e9},
         {"int8_tops", int8_ops_s / 1e12},
         {"gpus", gpus},
         {"sandbox", {{"tier", agent::sandbox_tier_name(sandbox.tier)}, {"reason", sandbox.reason}}},
         {"store",
          {{"path", store.root().string()},
           {"free_bytes", disk},
           {"models", std::move(models)},
           {"damaged", listing.damaged.size()}}}});
  }
  ATELIER_CHECK_OK(print(fmt::format(
      "processor     {}\ninstructions  {} (of {})\nthreads       {}\nmemory        {:.1f} GB, {:.1f} GB "
      "available\n"
      "read speed    {:.1f} GB/s\nint8 peak     {:.2f} Tops\ngraphics      {}\n"
      "sandbox       tier {}: {}\nstore         {} ({} models, "
      "{:.1f} GB free)\n",
      processor, isa_name(active_isa()), isa_name(detected_isa()), pool.size(), gb(total_memory_bytes()),
      gb(available), read_bytes_s / 1e9, int8_ops_s / 1e12,
      gpus.empty() ? "none found; models run on the processor" : fmt::format("{}", fmt::join(gpus, ", ")),
      agent::sandbox_tier_name(sandbox.tier), sandbox.reason, store.root().string(), listing.models.size(),
      gb(disk))));
  ATELIER_CHECK_OK(print(fmt::format("fits          models of up to {:.1f} GB of weights\n", gb(available))));
  for (const StoredModel& model : listing.models)
    ATELIER_CHECK_OK(print(fmt::format(
        "  {:<32} {:>7.2f} GB  {}\n", model.name, gb(model.total_bytes()),
        model.total_bytes() < available ? "fits" : "does not fit into the memory available now")));
  for (const Error& error : listing.damaged)
    ATELIER_CHECK_OK(print(fmt::format("  damaged: {}\n", error.message)));
  return {};
}

}  // namespace

void register_doctor(Registration r) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = r.app.add_subcommand("doctor", "What this machine has, and what fits on it");
  command->add_flag("--json", *json, "Print one JSON object");
  command->callback([=] { r.selected = [=] { return run_doctor(*json); }; });
}

}  // namespace atelier::cli
