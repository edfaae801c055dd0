// Something to mount on where a protected name is absent.
#pragma once

#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace atelier::agent {

// An empty folder in the place of each absent path, for as long as a command runs: nothing can be mounted
// where nothing is, and what is not covered a command could create. Empty folders are what other programs
// mind least (git and direnv pass over them). Several commands share them; the last one removes them, and
// what a killed one left is recognised by a mark and used again.
class Placeholders {
 public:
  // `paths`: absolute. kInvalidArgument for a symbolic link, which could be replaced and not covered. Where
  // we may not write, a command may not either, and nothing is made.
  static Result<Placeholders> hold(const std::vector<std::string>& paths);
  Placeholders(Placeholders&&) = default;
  Placeholders& operator=(Placeholders&&) = delete;
  ~Placeholders();

 private:
  Placeholders() = default;
  struct Held {
    std::string path;
    Descriptor fd;  // with a shared lock
  };
  std::vector<Held> held_;
};

}  // namespace atelier::agent
