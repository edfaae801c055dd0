// A patch turned into the changes it makes, without making them.
#pragma once

#include <string_view>
#include <vector>

#include "agent/patch/patch.h"
#include "agent/workspace/change.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

// The changes, in the order of the patch's sections, each file once; several sections may change the same
// file, one after the other. Paths are relative to `folder` (as from Workspace::relative_folder), or absolute
// and in the workspace. Reads files, writes nothing.
// An added or moved-to file replaces one that is there. Errors: those of Workspace::read and apply_hunks;
// kNotFound for a file to be changed or deleted that is not there; kInvalidArgument for folders, links,
// binary files, and a patch that changes nothing; kLimit. Every message names the file.
Result<std::vector<FileChange>> plan_patch(const Workspace& workspace, const Patch& patch,
                                           std::string_view folder = {});
// The same, but a patch that changes nothing is no error and no change.
Result<std::vector<FileChange>> planned_changes(const Workspace& workspace, const Patch& patch,
                                                std::string_view folder = {});

}  // namespace atelier::agent
