// What a process gives up before it runs a command, in the only order that works.
#pragma once

#include "agent/sandbox/launch_spec.h"

namespace atelier::agent {

// Inside new namespaces, their mounts still ours to make.
Status raise_loopback();

// Limits, capabilities, no_new_privs, Landlock, seccomp: for this process and all it starts. By means of
// kNone only the limits.
Status confine(const LaunchSpec& spec);

// All capabilities, from every set.
Status drop_capabilities();

}  // namespace atelier::agent
