// What git would say about the workspace, read without starting git: a repository's configuration can name
// programs (fsmonitor, filters, hooks), and none of them may run because somebody looks at a folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/workspace/workspace.h"

namespace atelier::agent {

// The nearest folder at or above `folder` that has a .git.
std::optional<std::filesystem::path> repository_root(const std::filesystem::path& folder);

// "Branch main at 1a2b3c4d." and up to 20 files that differ in size or time from the index, one a line. Empty
// outside of repositories and for layouts we do not read.
std::string git_status(const Workspace& workspace);

}  // namespace atelier::agent
