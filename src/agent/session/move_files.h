// Takes the files of a workspace from one state to another, and never over somebody else's work.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "agent/session/file_index.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct MovedFiles {
  std::vector<std::string> moved;
  std::vector<std::string> left;  // neither as expected nor as wanted, or not kept: untouched
};

// The content of a file or the target of a link.
using FindContent = std::function<Result<std::string>(const Sha256& digest)>;

// For each change: where `before` stands, `after` will; where `after` stands already nothing is done. So the
// same call finishes what a killed one has begun. Files change together or not at all (commit_changes), links
// and folders after them; folders that hold anything else stay.
Result<MovedFiles> move_files(const Workspace& workspace, std::span<const StateChange> changes,
                              const FindContent& content, const std::filesystem::path& journal_folder);

// `first`, then `second`, as one step; names that end as they began are left out.
std::vector<StateChange> compose(std::span<const StateChange> first, std::span<const StateChange> second);
// What takes `changes` back.
std::vector<StateChange> inverse(std::span<const StateChange> changes);

}  // namespace atelier::agent
