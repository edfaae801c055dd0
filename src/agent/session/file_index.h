// What stands in a workspace, name by name, and what of it changed since the last look.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/workspace/workspace.h"
#include "io/sha256.h"

namespace atelier::agent {

enum class FileKind : uint8_t { kFile, kLink, kFolder };

// A name's content: two equal states cannot be told apart by a program that reads them.
struct FileState {
  FileKind kind = FileKind::kFile;
  uint32_t mode = 0;  // permission bits (07777) of files
  Sha256 digest{};    // of the file's bytes, or of the link's target; of folders zeros
  bool kept = true;   // false: not copied (too large, unreadable); the digest tells only that it changed
  bool operator==(const FileState&) const = default;
};

// One name, before and after; nothing: there was none.
struct StateChange {
  std::string path;
  std::optional<FileState> before, after;
  bool operator==(const StateChange&) const = default;
};

// Takes the content of a file or the target of a link for safekeeping. An error ends the scan.
using KeepContent = std::function<Status(const Sha256& digest, std::string_view bytes)>;

class FileIndex {
 public:
  size_t size() const { return entries_.size(); }
  std::optional<FileState> find(const std::string& path) const;
  // Calls fn(path, state) for each name, in no order.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (const auto& [path, entry] : entries_) fn(path, entry.state);
  }
  // What is known to have stood at `path` before somebody changed it: the next scan tells the difference.
  void remember(const std::string& path, const FileState& state) {
    entries_.try_emplace(path, Entry{.state = state});
  }

  // Looks at every file, link and folder that .gitignore does not leave out, reads those that changed since
  // the last scan (by size, times and inode), hands new content to `keep` and returns what is different, in
  // the order of the walk, what went last. Errors: the workspace's and keep's; the index is then as before.
  Result<std::vector<StateChange>> scan(const Workspace& workspace, const KeepContent& keep);
  // The same for these names alone, ignored ones too.
  Result<std::vector<StateChange>> look_at(const Workspace& workspace, const std::vector<std::string>& paths,
                                           const KeepContent& keep);

  // As bytes, and back. Anything that is not an index becomes an empty one: the next scan reads all files.
  std::string encode() const;
  static FileIndex decode(std::string_view bytes);

  // Files that edits could not write (kMaxFileBytes) are not copied, nor is anything past this of one scan.
  static constexpr uint64_t kMaxScanBytes = uint64_t{2} << 30;

 private:
  struct Entry {
    FileState state;
    // As of the last look. A file changed so shortly before it that a later change might not show has no
    // inode: it is read again.
    int64_t size = 0, modified_ns = 0, changed_ns = 0;
    uint64_t inode = 0;
  };
  using Entries = std::unordered_map<std::string, Entry>;
  class Look;
  Entries entries_;
};

}  // namespace atelier::agent
