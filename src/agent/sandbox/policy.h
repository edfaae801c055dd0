// What a command may do, in one object, and the lists that follow from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

enum class SandboxMode {
  kReadOnly,   // reads all but secrets, writes its own temporary folder
  kWorkspace,  // and the workspace, but for its protected paths
  kFull,       // no confinement: everything the user may do
};
Result<SandboxMode> parse_sandbox_mode(std::string_view name);  // "read-only", "workspace", "full"
std::string_view sandbox_mode_name(SandboxMode mode);

struct SandboxPolicy {
  SandboxMode mode = SandboxMode::kWorkspace;
  std::filesystem::path workspace{};              // the folder commands run in; must exist
  std::filesystem::path home{};                   // whose secrets are hidden; empty: $HOME
  bool network = false;                           // the machine's network, not only a loopback of its own
  bool local_sockets = false;                     // Unix sockets by name, which may reach programs outside
  std::vector<std::filesystem::path> writable{};  // further folders to write, such as a package cache
  std::vector<std::filesystem::path> readable{};  // shown read-only although they lie below something hidden
  std::vector<std::filesystem::path> hidden{};    // further secrets
  std::filesystem::path scratch{};         // becomes /tmp, shared by commands; empty: a new one for each
  std::vector<std::string> environment{};  // names passed on besides the usual ones
  uint64_t temporary_bytes = uint64_t{4} << 30;  // the most that a /tmp of its own may hold
  uint32_t max_processes = 4096;
};

// Names directly in a writable folder that no command may change, also where they are absent: what other
// programs obey without asking.
const std::vector<std::string>& protected_names();

// Secrets below `home` and elsewhere that exist, canonical. Sockets of agents and daemons lie in folders that
// are replaced as a whole (/run, /tmp) and are not listed.
std::vector<std::string> secret_paths(const std::filesystem::path& home);

// The environment of a command: of `current` ("NAME=value"), the names on the list of known harmless ones and
// those of `more`; PATH without relative entries; and what makes programs behave without a terminal.
std::vector<std::string> sandbox_environment(const std::vector<std::string>& current,
                                             const std::vector<std::string>& more);

}  // namespace atelier::agent
