// The process between the agent and its commands. It is small and single-threaded, so that a command starts
// in a few milliseconds however much memory the agent holds, and it holds nothing worth stealing.
//
//   agent ── host (one per Sandbox) ── supervisor (one per command, outside) ── init (process 1 inside) ──
//   command
//
// The host is this program, started anew under a name of its own. It forks a supervisor per request; the
// supervisor keeps placeholders, makes the namespaces and ends everything when the command is over or the
// agent lets go of it; init confines itself, starts the command and reports how it ended.
#pragma once

#include <optional>

namespace atelier::agent {

// To be called first in main(): where the program was started as a sandbox's host (or, inside bwrap, as its
// second half), does that work and returns the exit status.
std::optional<int> run_sandbox_launcher(int argc, char** argv);

// argv[0] of the host, with the number of its socket in argv[1]; and of what bwrap starts, with the numbers
// of the descriptors of LaunchFd after it.
inline constexpr const char* kSandboxHostName = "atelier-sandbox-host";
inline constexpr const char* kSandboxInnerName = "atelier-sandbox-inner";

}  // namespace atelier::agent
