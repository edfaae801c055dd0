// apply_patch: from what a model sent to changed files, all or none.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/patch/unwrap.h"
#include "agent/workspace/change.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct ApplyOptions {
  bool check = false;  // only say whether it would apply, and what it would change
  std::string folder;  // what relative paths are relative to, as from Workspace::relative_folder
  std::filesystem::path journal_folder;  // empty: default_journal_folder()
};

// Applies a patch. The changes are what was done (or would be): commit_changes(inverse(changes)) undoes it.
// Errors are those of unwrap_patch, parse_patch, plan_patch and commit_changes, the message being meant for
// the model that wrote the patch; whatever fails, no file has changed.
Result<std::vector<FileChange>> apply_patch(const Workspace& workspace, std::string_view text,
                                            const ApplyOptions& options = {});
Result<std::vector<FileChange>> apply_patch(const Workspace& workspace, const PatchText& text,
                                            const ApplyOptions& options = {});

// "M src/a.cpp", one line a file: A added, M changed, D deleted, R moved ("R old -> new").
std::string summary(std::span<const FileChange> changes);

}  // namespace atelier::agent
