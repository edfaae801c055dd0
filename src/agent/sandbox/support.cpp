#include <fcntl.h>
#include <unistd.h>

#include "agent/sandbox/bubblewrap.h"
#include "agent/sandbox/landlock.h"
#include "agent/sandbox/sandbox.h"

namespace atelier::agent {
namespace {

// The switch that usually is the reason, if it stands that way.
std::string hint() {
  struct Switch {
    const char* path;
    char blocking;
  };
  constexpr Switch kSwitches[] = {{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'},
                                  {"/proc/sys/kernel/unprivileged_userns_clone", '0'},
                                  {"/proc/sys/user/max_user_namespaces", '0'}};
  for (const Switch& one : kSwitches) {
    // Not read_file: files in /proc have no size.
    const Descriptor fd(::open(one.path, O_RDONLY | O_CLOEXEC));
    char first = 0, second = '\n';
    if (fd.get() < 0 || ::read(fd.get(), &first, 1) != 1 || first != one.blocking) continue;
    if (::read(fd.get(), &second, 1) == 1 && second != '\n') continue;
    return fmt::format(" ({} is {})", one.path, one.blocking);
  }
  return {};
}

}  // namespace

std::string_view sandbox_tier_name(SandboxTier tier) {
  return tier == SandboxTier::kA ? "A" : tier == SandboxTier::kB ? "B" : "C";
}

std::string_view sandbox_banner(SandboxTier tier) {
  if (tier == SandboxTier::kA) return "";
  if (tier == SandboxTier::kB)
    return "sandbox tier B: no namespaces on this machine. Other processes of yours can be seen and their "
           "memory "
           "statistics read, modes and times of your files can be changed anywhere, and nothing new can be "
           "made "
           "directly in the workspace; commands that write are asked for";
  return "sandbox tier C: this machine offers no confinement; every command is asked for";
}

void Sandbox::find_support() {
  if (policy_.mode == SandboxMode::kFull) {
    support_ = {SandboxTier::kC, SandboxMeans::kNone, "switched off by --sandbox full"};
    return;
  }
  std::string tried;
  if (const Status own = probe(SandboxMeans::kNamespaces)) {
    support_ = {SandboxTier::kA, SandboxMeans::kNamespaces,
                fmt::format("own namespaces, Landlock {}, seccomp",
                            landlock_abi() >= kLandlockAbi ? fmt::format("ABI {}", landlock_abi())
                                                           : "not available")};
    return;
  } else {
    tried = "own namespaces: " + own.error().message + hint();
  }
  if (::access(kBubblewrapPath, X_OK) != 0) {
    tried += fmt::format("; {} is not installed", kBubblewrapPath);
  } else if (const Status wrapped = probe(SandboxMeans::kBubblewrap)) {
    support_ = {SandboxTier::kA, SandboxMeans::kBubblewrap, fmt::format("{}; {}", kBubblewrapPath, tried)};
    return;
  } else {
    tried += fmt::format("; {}: {}", kBubblewrapPath, wrapped.error().message);
  }
  if (landlock_abi() < kLandlockAbi) {
    support_ = {
        SandboxTier::kC, SandboxMeans::kNone,
        fmt::format("{}; Landlock: expected ABI {} or newer, found {}", tried, kLandlockAbi, landlock_abi())};
  } else if (const Status locked = probe(SandboxMeans::kLandlock)) {
    support_ = {SandboxTier::kB, SandboxMeans::kLandlock,
                fmt::format("Landlock ABI {}; {}", landlock_abi(), tried)};
  } else {
    support_ = {SandboxTier::kC, SandboxMeans::kNone,
                fmt::format("{}; Landlock: {}", tried, locked.error().message)};
  }
}

bool Sandbox::runs_unasked() const {
  if (policy_.mode == SandboxMode::kFull) return true;
  switch (support_.tier) {
    case SandboxTier::kA:
      return true;
    case SandboxTier::kB:
      return policy_.mode == SandboxMode::kReadOnly;
    case SandboxTier::kC:
      return false;
  }
  return false;
}

SandboxSupport sandbox_support(const std::filesystem::path& folder) {
  const auto sandbox = Sandbox::open({.mode = SandboxMode::kReadOnly, .workspace = folder});
  if (sandbox) return sandbox->support();
  return {SandboxTier::kC, SandboxMeans::kNone, sandbox.error().message};
}

}  // namespace atelier::agent
