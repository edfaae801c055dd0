#include "agent/workspace/change.h"

namespace atelier::agent {

std::vector<FileChange> inverse(std::span<const FileChange> changes) {
  std::vector<FileChange> back;
  back.reserve(changes.size());
  for (auto change = changes.rbegin(); change != changes.rend(); ++change)
    back.push_back({change->path, change->after, change->before, change->moved_to, change->moved_from});
  return back;
}

}  // namespace atelier::agent
