// What a patch may do in a workspace right now.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "agent/patch/patch_language.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct PatchScopeOptions {
  size_t max_files = 64;
  size_t max_bytes = 96 << 10;  // of all files together; those named first come first
  size_t max_folders = 24;
  // Paths nobody may change unasked, any name on the way included.
  std::function<bool(std::string_view path)> is_protected{};
};
// `seen`: paths of files, the most recent first; those that are gone, binary, or past the limits are left
// out, and what is protected. Folders are the workspace, those of the files, and their parents.
PatchScope patch_scope(const Workspace& workspace, std::span<const std::string> seen,
                       const PatchScopeOptions& options = {});

// Equal for equal scopes.
std::string scope_key(const PatchScope& scope);

}  // namespace atelier::agent
