// Parts of recovery that a commit shares.
#pragma once

#include "agent/workspace/transaction.h"

namespace atelier::agent {

// recover() for a caller that holds the lock.
Result<Recovery> recover_locked(const Workspace& workspace, const JournalFile& journal_file);

// Removes the folders that were made for an edit and are still empty. False where that failed.
bool remove_folders(const Workspace& workspace, const Journal& journal);

}  // namespace atelier::agent
