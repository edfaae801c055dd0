// The files of a workspace, as its owner sees them: without what .gitignore leaves out.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>

#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct WalkEntry {
  std::string path;  // relative to the workspace
  enum class Kind : uint8_t { kFile, kFolder, kLink, kOther } kind = Kind::kFile;
  struct stat info{};  // lstat
  size_t depth = 0;    // 1: directly in the folder walked
};

struct WalkOptions {
  std::string folder{};  // to begin at, as from Workspace::relative_folder
  size_t max_depth = 64;
  size_t max_entries = 200'000;
  bool ignored_too = false;  // .git is never entered
  bool hidden = true;        // names that begin with a dot
};

// What `visit` answers: go on, leave this folder out, or end the walk.
enum class Walk : uint8_t { kOn, kSkip, kEnd };

// Calls `visit` for each entry, folders before what is in them, names in byte order. Links are named and not
// followed; names that are not UTF-8 or have control characters are passed over. False where it ended at
// max_entries. Errors: those of opening `folder`.
Result<bool> walk_files(const Workspace& workspace, const WalkOptions& options,
                        const std::function<Walk(const WalkEntry&)>& visit);

}  // namespace atelier::agent
