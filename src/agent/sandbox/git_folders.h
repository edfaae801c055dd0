// Where git keeps what it obeys: hooks, configuration.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace atelier::agent {

// Of repositories below `folder` (submodules, nested ones), their .git folders and files; and what .git
// files, also that of `folder` itself, point to (worktrees, submodules), as far as it lies in one of the
// `writable` folders. Looks a few levels deep and at a bounded number of folders; .git of `folder` itself is
// not in the list. Canonical paths.
std::vector<std::string> git_folders(const std::filesystem::path& folder,
                                     const std::vector<std::filesystem::path>& writable);

}  // namespace atelier::agent
