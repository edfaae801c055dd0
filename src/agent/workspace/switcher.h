// The renames at the heart of an edit, forwards, backwards and from the middle.
#pragma once

#include <string>

#include "agent/workspace/journal.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

// One entry of a journal with its folder open.
class Switcher {
 public:
  static Result<Switcher> open(const Workspace& workspace, const JournalEntry& entry);

  // Where the entry stands, by the identity of what the three names refer to.
  enum class State {
    kBefore,   // the old file is in place, the new one is staged
    kBetween,  // the old file was set aside, the new one is not yet in place
    kAfter,    // done
    kForeign,  // none of these: somebody else was here
    kUnknown,  // the system would not say
  };
  State state() const;

  // From kBefore or kBetween to kAfter, and back to kBefore. The old file is kept under the name `staged` or
  // `old`. Errors leave a state that state() recognises.
  Status forward();
  Status backward();

  // Remove the new file where it never got its name, and the old one where the new one took its place. Names
  // that hold anything else are left alone.
  Status discard_new();
  Status discard_old();
  Status sync();  // the folder

 private:
  Switcher(const Workspace& workspace, const JournalEntry& entry, Descriptor folder)
      : workspace_(&workspace), entry_(&entry), folder_(std::move(folder)), name_(name_of(entry.path)) {}
  // What stands under a name in the folder.
  struct Look {
    enum class What { kNothing, kFile, kOther, kUnknown } what = What::kNothing;
    std::optional<FileIdentity> file;
  };
  Look look(const std::string& name) const;
  int move(const std::string& from, const std::string& to, unsigned flags);
  Status failed(int error_number) const;
  Status remove(const std::string& name) const;

  const Workspace* workspace_;
  const JournalEntry* entry_;
  Descriptor folder_;
  std::string name_;
};

}  // namespace atelier::agent
