// The last step: a confined process becomes, or watches over, the command.
#pragma once

#include "agent/sandbox/launch_channel.h"

namespace atelier::agent {

// Starts the command and waits for it as the first process of its namespace (or as bwrap's child) must: it
// takes in orphans. Reports kStarted and how the command ended; returns this process's own exit status. What
// the command left running ends with the namespace.
int run_command_init(const LaunchSpec& spec, LaunchFds& fds);

// Becomes the command; its parent tells how it ended. Returns only where it could not start.
int run_command_directly(const LaunchSpec& spec, LaunchFds& fds);

// kExited or kSignalled, from what waitpid said.
void report_end(int fd, int status);

}  // namespace atelier::agent
