// Several files change together, or none does.
//
// The new files are written beside the old ones under names of their own and put on disk; then the journal is
// marked ready, which is the moment the edit happens; then names are switched, each by one rename that can be
// taken back. An error on the way takes everything back. A process that is killed on the way leaves a journal
// with which recover() completes the edit, or removes its traces: a reader never finds half a file, and after
// recovery there are all old files or all new ones.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "agent/workspace/change.h"
#include "agent/workspace/journal.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

// The largest file that is read or written by an edit, and the most that one edit may hold in all.
inline constexpr size_t kMaxFileBytes = size_t{16} << 20;
inline constexpr size_t kMaxEditBytes = size_t{256} << 20;
inline constexpr size_t kMaxEditFiles = 4096;

// Makes `changes`, each path at most once. Recovers first what an earlier process left behind.
// Every file must still be as its `before` says, mode included; folders are made as needed and never removed.
// The permission bits of `before` are kept where `after` names none.
// Errors: kInvalidArgument (a folder, device or link in the way), kIo (changed meanwhile, no space, …),
// kLimit. After an error the files are as they were, or its message says which could not be put back.
Status commit_changes(const Workspace& workspace, std::span<const FileChange> changes,
                      const std::filesystem::path& journal_folder);

// What recovery found, and did.
struct Recovery {
  enum class Outcome {
    kNothing,    // no edit was interrupted
    kCompleted,  // one was, and is now made
    kUndone,     // one was, and is now as if never begun
  };
  Outcome outcome = Outcome::kNothing;
  std::vector<std::string> files;  // of that edit
  std::vector<std::string> left;   // of those, changed by others meanwhile and left as they are
};
// To be called when a workspace is opened, before anything in it is trusted to be whole.
Result<Recovery> recover(const Workspace& workspace, const std::filesystem::path& journal_folder);

// Whether an edit was interrupted and not recovered yet; writes nothing.
Result<bool> needs_recovery(const Workspace& workspace, const std::filesystem::path& journal_folder);

}  // namespace atelier::agent
