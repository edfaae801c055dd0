// What a patch may do in a workspace right now.
#pragma once

#include <span>
#include <string>

#include "agent/patch/patch_language.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct PatchScopeOptions {
  size_t max_files = 64;
  size_t max_bytes = 384 << 10;  // of all files together; those named first come first
  size_t max_folders = 24;
};
// `seen`: paths of files, the most recent first; those that are gone or binary are left out.
// Files past the limit of bytes are there without their lines (PatchableFile::bound). Folders are
// the workspace, those of the files, and their parents.
PatchScope patch_scope(const Workspace& workspace, std::span<const std::string> seen,
                       const PatchScopeOptions& options = {});

// Of equal scopes equal, and short.
std::string scope_key(const PatchScope& scope);

}  // namespace atelier::agent
