#include "agent/tools/programs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace atelier::agent {

bool has_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    // Relative entries are not used for commands either.
    if (folder.starts_with('/') && ::access(fmt::format("{}/{}", folder, name).c_str(), X_OK) == 0)
      return true;
  }
  return false;
}

}  // namespace atelier::agent
