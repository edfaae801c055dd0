// What an edit does to a workspace, file by file: enough to show it, to make it and to undo it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace atelier::agent {

struct FileVersion {
  std::string content;
  std::optional<mode_t> mode;  // permission bits (07777); nothing: what the umask gives a new file
};

// One name whose file appears, changes or goes. A move is two of them.
struct FileChange {
  std::string path;                   // as from Workspace::relative
  std::optional<FileVersion> before;  // nothing: there was no such file
  std::optional<FileVersion> after;   // nothing: there is none any more
  std::string moved_from, moved_to;   // the other half of a move, else empty
};

// What takes `changes` back.
std::vector<FileChange> inverse(std::span<const FileChange> changes);

}  // namespace atelier::agent
