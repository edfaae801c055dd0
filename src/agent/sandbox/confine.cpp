#include "agent/sandbox/confine.h"

#include <linux/capability.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "agent/sandbox/landlock.h"
#include "agent/sandbox/os_error.h"
#include "agent/sandbox/seccomp_filter.h"
#include "agent/workspace/paths.h"
#include "base/descriptor.h"

namespace atelier::agent {
namespace {

// `folder` without `excluded`: the folder itself if nothing of them lies in it, else what it holds, one by
// one. Names that appear in such a folder later are not granted.
void grant_without(const std::string& folder, const std::vector<std::string>& excluded,
                   std::vector<std::string>& granted, int depth = 0) {
  constexpr int kMaxDepth = 16;
  const auto concerns = [&](const std::string& path) { return lies_in(path, folder); };
  if (std::find(excluded.begin(), excluded.end(), folder) != excluded.end() || depth > kMaxDepth) return;
  if (std::none_of(excluded.begin(), excluded.end(), concerns)) {
    granted.push_back(folder);
    return;
  }
  std::error_code code;
  for (auto at = std::filesystem::directory_iterator(
           folder, std::filesystem::directory_options::skip_permission_denied, code);
       !code && at != std::filesystem::directory_iterator(); at.increment(code)) {
    const bool is_folder = at->is_directory(code) && !at->is_symlink(code);
    if (is_folder) {
      grant_without(at->path().string(), excluded, granted, depth + 1);
    } else if (std::find(excluded.begin(), excluded.end(), at->path().string()) == excluded.end() &&
               !at->is_symlink(code)) {
      granted.push_back(at->path().string());
    }
  }
}

constexpr std::array kDevices = {"/dev/null",    "/dev/zero", "/dev/full", "/dev/random",
                                 "/dev/urandom", "/dev/tty",  "/dev/pts",  "/dev/ptmx"};

// Where the mounts have already made the difference, Landlock repeats it. Where there are none, it must do
// alone, and rules can only add: secrets and protected names are left out by granting what stands beside
// them.
LandlockRules landlock_rules(const LaunchSpec& spec) {
  LandlockRules rules;
  rules.devices.assign(kDevices.begin(), kDevices.end());
  if (spec.means != SandboxMeans::kLandlock) {
    rules.readable = {"/"};
    rules.writable = spec.writable;
    for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm"}) rules.writable.emplace_back(folder);
    return rules;
  }
  std::vector<std::string> excluded = spec.hidden;
  for (const char* folder : {"/run", "/var/run", "/tmp", "/var/tmp", "/dev", "/sys/kernel"})
    excluded.emplace_back(folder);
  for (const auto* list : {&spec.writable, &spec.readable})
    for (const std::string& path : *list)
      std::erase_if(excluded, [&](const std::string& hidden) { return hidden == path; });
  grant_without("/", excluded, rules.readable);
  for (const std::string& path : spec.readable) rules.readable.push_back(path);
  std::vector<std::string> not_written = spec.hidden;
  not_written.insert(not_written.end(), spec.protected_paths.begin(), spec.protected_paths.end());
  for (const std::string& path : spec.writable) {
    grant_without(path, spec.hidden, rules.readable);
    grant_without(path, not_written, rules.writable);
  }
  if (!spec.scratch.empty()) rules.writable.push_back(spec.scratch);
  return rules;
}

Status set_limits(const LaunchSpec& spec) {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return refused("setrlimit core");
  // Counted for each user namespace, so that it leaves the user's other programs alone; without one it would
  // count those too.
  if (spec.max_processes > 0 && spec.means == SandboxMeans::kNamespaces) {
    const rlimit processes{spec.max_processes, spec.max_processes};
    if (::setrlimit(RLIMIT_NPROC, &processes) != 0) return refused("setrlimit processes");
  }
  return {};
}

}  // namespace

Status raise_loopback() {
  const Descriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name);
  request.ifr_flags = IFF_UP;
  if (fd.get() < 0 || ::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return refused("raise loopback");
  return {};
}

Status drop_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return refused("clear ambient capabilities");
  // Past the last capability the kernel knows: EINVAL. Without CAP_SETPCAP the bounding set stays, which
  // no_new_privs makes harmless.
  for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return refused("capset");
  return {};
}

Status confine(const LaunchSpec& spec) {
  ATELIER_CHECK_OK(set_limits(spec));
  if (spec.means == SandboxMeans::kNone) return {};
  ATELIER_CHECK_OK(drop_capabilities());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no_new_privs");
  const bool mounted = spec.means != SandboxMeans::kLandlock;
  // With mounts in place Landlock is the second wall; a kernel without it still has the first.
  if (!mounted || landlock_abi() >= kLandlockAbi) ATELIER_CHECK_OK(apply_landlock(landlock_rules(spec)));
  return apply_seccomp(
      {.internet = mounted || spec.network, .local_sockets = spec.local_sockets, .reach_processes = mounted});
}

}  // namespace atelier::agent
