// The system calls that no confined command may make.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace atelier::agent {

struct SeccompOptions {
  bool internet = false;         // socket(AF_INET, AF_INET6): safe where the namespace has only a loopback
  bool local_sockets = false;    // socket(AF_UNIX), which reaches files of the outside by name
  bool reach_processes = false;  // ptrace and its kind: safe where no process of the outside can be seen
};

// Classic BPF over struct seccomp_data. Everything is allowed but: calls of other processor modes, what makes
// or enters namespaces and mounts, kernel interfaces with a history of holes (io_uring, bpf, perf,
// userfaultfd, keyrings, kexec, modules), sockets of other kinds than the options say, setting set-user-ID
// bits, device nodes, and pushing characters into a terminal. Those fail with EPERM, or with ENOSYS where
// programs then fall back to a call that can be checked.
std::vector<sock_filter> seccomp_program(const SeccompOptions& options);

// For this process and its children, for ever. Needs no_new_privs.
Status apply_seccomp(const SeccompOptions& options);

}  // namespace atelier::agent
