// What a half-made edit left on disk, written down before it is made.
//
// One JSON file per workspace, in a folder of the user's own and never in the workspace, whose files may be
// anyone's. It is replaced atomically and says where an edit stands:
//
//   staging  the new files may be there, under names of their own: an edit that stopped here never happened
//   ready    all new files are complete and on disk: an edit that stopped here is finished by recovery
//   made     all names are switched, only the old files remain to be removed. This state is told by the name
//            of the journal, which costs no write
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/workspace/workspace.h"

namespace atelier::agent {

// Tells a file from others, and whether somebody wrote to it since.
struct FileIdentity {
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};
FileIdentity identity_of(const struct stat& info);

struct JournalEntry {
  std::string path;                    // relative to the workspace
  std::string staged, old;             // names beside it: of the new file, of the old one while it is kept
  std::optional<FileIdentity> before;  // nothing: there was no file
  std::optional<FileIdentity> after;   // nothing: there will be none. Only known when ready
};

struct Journal {
  std::string root;  // for people: the workspace
  enum class Stage { kStaging, kReady, kMade };
  Stage stage = Stage::kStaging;
  std::vector<std::string> folders;  // made for this edit, parents first
  std::vector<JournalEntry> entries;
};

// Where the journals of all workspaces lie: $XDG_STATE_HOME/atelier/edits. kNotFound without a home.
Result<std::filesystem::path> default_journal_folder();

// The journal of one workspace.
class JournalFile {
 public:
  JournalFile(const std::filesystem::path& folder, const Workspace& workspace);
  const std::filesystem::path& path() const { return path_; }

  // Nothing: no edit is under way. kCorrupt for what we did not write.
  Result<std::optional<Journal>> load() const;
  // On disk when it returns. Makes the folder on first use.
  Status store(const Journal& journal) const;
  Status mark_made() const;
  Status remove() const;

 private:
  Result<Descriptor> open_folder() const;
  FileOps& ops_;
  std::filesystem::path folder_, path_;
  std::string name_, made_name_;
};

}  // namespace atelier::agent
