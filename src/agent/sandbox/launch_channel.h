// How the agent, the host and the supervisors talk.
#pragma once

#include <array>
#include <string_view>

#include "agent/sandbox/launch_spec.h"
#include "base/descriptor.h"

namespace atelier::agent {

using LaunchFds = std::array<Descriptor, kLaunchFds>;
inline int fd_of(const LaunchFds& fds, LaunchFd which) { return fds[static_cast<size_t>(which)].get(); }

// One request: the descriptors of a command. False at the end, when the agent is gone.
Status send_launch(int socket, const LaunchFds& fds);
Result<bool> receive_launch(int socket, LaunchFds& fds);

// A memory file that holds the spec, and what is in one.
Result<Descriptor> spec_file(const LaunchSpec& spec);
Result<LaunchSpec> read_spec(int fd);

// At most one page: written whole or not at all, also by several writers.
void report(int fd, LaunchReport::Kind kind, int32_t value = 0, std::string_view text = {});
Result<bool> read_report(int fd, LaunchReport& report);  // false at the end

}  // namespace atelier::agent
