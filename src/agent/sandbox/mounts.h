// What a confined command sees of the file system: the machine's, read-only, with some places replaced.
#pragma once

#include <string>
#include <vector>

#include "agent/sandbox/launch_spec.h"

namespace atelier::agent {

struct MountStep {
  enum class Kind {
    kProcesses,  // /proc of the new process namespace
    kDevices,    // a /dev with the harmless devices only
    kTemporary,  // an empty folder that can be written
    kEmpty,      // an empty folder, or an empty file, whatever stood there
    kReadOnly,   // what stands there, read-only
    kWritable,   // what stands there, writable
  };
  Kind kind;
  std::string path;
  std::string source;  // for kReadOnly and kWritable, if not `path`
};

// In the order in which they are made: parents before what lies in them.
std::vector<MountStep> plan_mounts(const LaunchSpec& spec);

// Makes them. To be called in new user, mount and process namespaces; everything else becomes read-only.
Status make_mounts(const LaunchSpec& spec);

}  // namespace atelier::agent
