#include "agent/workspace/recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "agent/workspace/edit_lock.h"
#include "agent/workspace/switcher.h"

namespace atelier::agent {
namespace {

using State = Switcher::State;

struct Found {
  const JournalEntry* entry;
  std::optional<Switcher> switcher;  // nothing: its folder is gone
  State state = State::kForeign;
};

// Decisions need certainty: what the system will not tell now, a later recovery will find out.
Result<std::vector<Found>> look(const Workspace& workspace, const Journal& journal) {
  std::vector<Found> all;
  for (const JournalEntry& entry : journal.entries) {
    auto switcher = Switcher::open(workspace, entry);
    if (!switcher && switcher.error().code == ErrorCode::kIo)
      return tl::unexpected<Error>(std::move(switcher).error());
    Found found{&entry, {}};
    if (switcher) found.state = switcher->state(), found.switcher = std::move(*switcher);
    if (found.state == State::kUnknown)
      return fail(ErrorCode::kIo, "{}: an edit was interrupted, and the file cannot be looked at",
                  entry.path);
    all.push_back(std::move(found));
  }
  return all;
}

// Backwards: what was never begun, or can no longer be completed because somebody changed one of its files.
Status undo(const Workspace& workspace, const Journal& journal, std::vector<Found>& all, Recovery& recovery) {
  recovery.outcome = Recovery::Outcome::kUndone;
  for (auto found = all.rbegin(); found != all.rend(); ++found) {
    if (!found->switcher) continue;
    if (journal.stage == Journal::Stage::kReady) {
      if (found->state == State::kForeign) {
        recovery.left.push_back(found->entry->path);
      } else {
        ATELIER_CHECK_OK(found->switcher->backward());
      }
    }
    ATELIER_CHECK_OK(found->switcher->discard_new());
  }
  if (!remove_folders(workspace, journal))
    return fail(ErrorCode::kIo, "{}: the traces of an interrupted edit could not be removed", journal.root);
  return {};
}

Status complete(std::vector<Found>& all, Recovery& recovery) {
  recovery.outcome = Recovery::Outcome::kCompleted;
  for (Found& found : all) {
    if (!found.switcher || found.state == State::kForeign) {
      recovery.left.push_back(found.entry->path);  // only once the edit is made: changed since then
      continue;
    }
    if (found.state != State::kAfter) ATELIER_CHECK_OK(found.switcher->forward());
  }
  for (Found& found : all)
    if (found.switcher) ATELIER_CHECK_OK(found.switcher->sync());
  for (Found& found : all)
    if (found.switcher) ATELIER_CHECK_OK(found.switcher->discard_old());
  return {};
}

}  // namespace

bool remove_folders(const Workspace& workspace, const Journal& journal) {
  bool clean = true;
  for (auto path = journal.folders.rbegin(); path != journal.folders.rend(); ++path) {
    const auto parent = workspace.open_parent(*path);
    if (parent && workspace.ops().unlink(parent->get(), name_of(*path).c_str(), AT_REMOVEDIR) != 0 &&
        errno != ENOENT && errno != ENOTEMPTY)
      clean = false;
  }
  return clean;
}

Result<Recovery> recover_locked(const Workspace& workspace, const JournalFile& journal_file) {
  Recovery recovery;
  ATELIER_TRY(const std::optional<Journal> journal, journal_file.load());
  if (!journal) return recovery;
  for (const JournalEntry& entry : journal->entries) recovery.files.push_back(entry.path);
  ATELIER_TRY(std::vector<Found> all, look(workspace, *journal));
  const bool possible =
      std::none_of(all.begin(), all.end(), [](const Found& found) { return found.state == State::kForeign; });
  const bool made = journal->stage == Journal::Stage::kMade;
  if (made || (journal->stage == Journal::Stage::kReady && possible)) {
    ATELIER_CHECK_OK(complete(all, recovery));
  } else {
    ATELIER_CHECK_OK(undo(workspace, *journal, all, recovery));
  }
  ATELIER_CHECK_OK(journal_file.remove());
  return recovery;
}

Result<Recovery> recover(const Workspace& workspace, const std::filesystem::path& journal_folder) {
  ATELIER_TRY(const EditLock lock, EditLock::take(workspace));
  return recover_locked(workspace, JournalFile(journal_folder, workspace));
}

Result<bool> needs_recovery(const Workspace& workspace, const std::filesystem::path& journal_folder) {
  ATELIER_TRY(const std::optional<Journal> journal, JournalFile(journal_folder, workspace).load());
  return journal.has_value();
}

}  // namespace atelier::agent
