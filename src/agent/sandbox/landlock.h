// Landlock: which files a process and its children may use, decided by the kernel whatever they are called.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

// 0 where the kernel has none, or it is switched off.
int landlock_abi();
// From this one on truncation is covered too; older ones are not used.
inline constexpr int kLandlockAbi = 3;

struct LandlockRules {
  std::vector<std::string> readable;  // files and folders: read, list, execute
  std::vector<std::string> writable;  // also everything else
  std::vector<std::string> devices;   // read, write, ioctl
};

// For this process and its children, for ever; signals and abstract sockets stay inside as well where the
// kernel can (ABI 6). Paths that do not exist grant nothing. Needs no_new_privs.
Status apply_landlock(const LandlockRules& rules);

}  // namespace atelier::agent
