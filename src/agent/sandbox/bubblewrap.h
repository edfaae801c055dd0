// The same file system made by bwrap(1), for systems that let it make namespaces but not us.
#pragma once

#include <string>
#include <vector>

#include "agent/sandbox/launch_channel.h"

namespace atelier::agent {

inline constexpr const char* kBubblewrapPath = "/usr/bin/bwrap";

// Its command line for a spec, up to and without the program it is to run. Reads what exists.
std::vector<std::string> bubblewrap_arguments(const LaunchSpec& spec);

// Becomes bwrap, which starts this program again inside, for Landlock, seccomp and the command. Returns only
// with an error.
Status exec_bubblewrap(const LaunchSpec& spec, const LaunchFds& fds);

}  // namespace atelier::agent
