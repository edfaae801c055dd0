#include "agent/workspace/switcher.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>

namespace atelier::agent {
namespace {

bool same_file(const std::optional<FileIdentity>& found, const std::optional<FileIdentity>& wanted) {
  return found && wanted && found->inode == wanted->inode;
}

}  // namespace

Result<Switcher> Switcher::open(const Workspace& workspace, const JournalEntry& entry) {
  ATELIER_TRY(Descriptor folder, workspace.open_parent(entry.path));
  return Switcher(workspace, entry, std::move(folder));
}

Switcher::Look Switcher::look(const std::string& name) const {
  struct stat info{};
  if (workspace_->ops().lstat(folder_.get(), name.c_str(), &info) != 0)
    return {errno == ENOENT ? Look::What::kNothing : Look::What::kUnknown, {}};
  if (!S_ISREG(info.st_mode)) return {Look::What::kOther, {}};
  return {Look::What::kFile, identity_of(info)};
}

Status Switcher::failed(int error_number) const {
  return tl::unexpected<Error>(workspace_->error(entry_->path, error_number));
}

Switcher::State Switcher::state() const {
  const Look target = look(name_), staged = look(entry_->staged), old = look(entry_->old);
  for (const Look* seen : {&target, &staged, &old})
    if (seen->what == Look::What::kUnknown) return State::kUnknown;
  const auto& before = entry_->before;
  const auto& after = entry_->after;
  const bool no_target = target.what == Look::What::kNothing;
  if (!after) {
    if (no_target) return State::kAfter;  // also when the old file has been removed since
    return target.file == before && !old.file ? State::kBefore : State::kForeign;
  }
  if (same_file(target.file, after)) return State::kAfter;
  if (!same_file(staged.file, after)) return State::kForeign;
  if (!before) return no_target ? State::kBefore : State::kForeign;
  if (target.file == before) return State::kBefore;
  return no_target && same_file(old.file, before) ? State::kBetween : State::kForeign;
}

// A rename for file systems that know no flags falls back to the plain one, after looking.
int Switcher::move(const std::string& from, const std::string& to, unsigned flags) {
  FileOps& ops = workspace_->ops();
  if (ops.rename(folder_.get(), from.c_str(), folder_.get(), to.c_str(), flags) == 0) return 0;
  if (flags != RENAME_NOREPLACE || (errno != EINVAL && errno != ENOSYS)) return errno;
  struct stat info{};
  if (ops.lstat(folder_.get(), to.c_str(), &info) == 0) return EEXIST;
  if (errno != ENOENT) return errno;
  return ops.rename(folder_.get(), from.c_str(), folder_.get(), to.c_str(), 0) == 0 ? 0 : errno;
}

// After a rename, what was moved is looked at again: a change in the last moment is put back, not lost.
Status Switcher::forward() {
  const auto result = [this](int error) { return error == 0 ? Status() : failed(error); };
  const auto changed = [this](int error) -> Status {
    if (error != 0) return failed(error);
    return fail(ErrorCode::kIo, "{}: changed while it was being edited", entry_->path);
  };
  if (!entry_->after) {
    ATELIER_CHECK_OK(result(move(name_, entry_->old, RENAME_NOREPLACE)));
    if (look(entry_->old).file == entry_->before) return {};
    return changed(move(entry_->old, name_, RENAME_NOREPLACE));
  }
  if (entry_->before && state() != State::kBetween) {
    // One step in which no reader finds the name missing.
    const int error = move(entry_->staged, name_, RENAME_EXCHANGE);
    if (error == 0 && look(entry_->staged).file == entry_->before) return {};
    if (error == 0) return changed(move(entry_->staged, name_, RENAME_EXCHANGE));
    if (error != EINVAL && error != ENOSYS) return failed(error);
    ATELIER_CHECK_OK(result(move(name_, entry_->old, RENAME_NOREPLACE)));
    if (look(entry_->old).file != entry_->before) return changed(move(entry_->old, name_, RENAME_NOREPLACE));
  }
  return result(move(entry_->staged, name_, RENAME_NOREPLACE));
}

Status Switcher::backward() {
  const State now = state();
  if (now == State::kBefore) return {};
  if (now == State::kUnknown) return failed(EIO);
  const bool old_aside = same_file(look(entry_->old).file, entry_->before);
  int error = 0;
  if (entry_->after && !entry_->before) {
    error = move(name_, entry_->staged, RENAME_NOREPLACE);
  } else if (entry_->after && same_file(look(entry_->staged).file, entry_->before)) {
    error = move(entry_->staged, name_, RENAME_EXCHANGE);
  } else if (!old_aside) {
    error = ENOENT;  // the old file is gone: better the new one than none
  } else {           // set aside by a removal, or by a change in two steps
    if (entry_->after && now == State::kAfter) error = move(name_, entry_->staged, RENAME_NOREPLACE);
    if (error == 0) error = move(entry_->old, name_, RENAME_NOREPLACE);
  }
  return error == 0 ? Status() : failed(error);
}

Status Switcher::remove(const std::string& name) const {
  if (workspace_->ops().unlink(folder_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  return failed(errno);
}

// While the journal is not ready the identity of a staged file is not known; its name is ours alone.
Status Switcher::discard_new() {
  const Look staged = look(entry_->staged);
  if (staged.what == Look::What::kUnknown) return failed(EIO);
  if (!staged.file || (entry_->after && !same_file(staged.file, entry_->after))) return {};
  return remove(entry_->staged);
}

Status Switcher::discard_old() {
  for (const std::string& name : {entry_->staged, entry_->old}) {
    const Look kept = look(name);
    if (kept.what == Look::What::kUnknown) return failed(EIO);
    if (entry_->before && same_file(kept.file, entry_->before)) ATELIER_CHECK_OK(remove(name));
  }
  return {};
}

Status Switcher::sync() { return workspace_->ops().fsync(folder_.get()) == 0 ? Status() : failed(errno); }

}  // namespace atelier::agent
