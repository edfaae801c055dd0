// What the launcher is told about one command: everything decided, nothing left to look up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

// How a command is confined.
enum class SandboxMeans : uint8_t {
  kNamespaces,  // our own namespaces and mounts, Landlock, seccomp
  kBubblewrap,  // the same mounts made by bwrap(1), Landlock, seccomp
  kLandlock,    // Landlock and seccomp only
  kNone,        // nothing
};

struct LaunchSpec {
  SandboxMeans means = SandboxMeans::kNone;
  bool network = false;
  bool local_sockets = false;
  std::vector<std::string> argv;         // empty: set everything up and end, to see whether it can be done
  std::vector<std::string> environment;  // "NAME=value"
  std::string folder;                    // to run in
  // Absolute canonical paths. What lies deeper wins over what it lies in; at one path, later lists win.
  std::vector<std::string> hidden, readable, writable, protected_paths;
  std::string scratch;  // becomes /tmp; empty: a new one
  uint64_t temporary_bytes = 0;
  uint32_t max_processes = 0;
};

std::string encode(const LaunchSpec& spec);
Result<LaunchSpec> decode_launch_spec(std::string_view bytes);

// What comes back from the launcher, in this order: nothing or kStarted, then one of the others.
struct LaunchReport {
  enum class Kind : uint32_t { kStarted, kFailed, kExited, kSignalled } kind = Kind::kFailed;
  int32_t value = 0;     // exit status, signal
  char text[512] = {0};  // kFailed: why
};

// The descriptors that travel with a spec, in this order.
enum class LaunchFd : uint8_t {
  kSpec,    // a memory file with encode()
  kInput,   // the command's standard input
  kOutput,  // its standard output
  kErrors,  // its standard error, often the same pipe
  kReport,  // a pipe for LaunchReports
  kLife,    // a pipe: when its other end is closed, the command is ended
};
inline constexpr size_t kLaunchFds = 6;

}  // namespace atelier::agent
