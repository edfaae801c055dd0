#include "agent/workspace/transaction.h"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <unordered_set>

#include "agent/workspace/edit_lock.h"
#include "agent/workspace/recovery.h"
#include "agent/workspace/switcher.h"

namespace atelier::agent {
namespace {

constexpr mode_t kPermissions = 07777;

// Says of an error that nothing of the edit remains.
Error unchanged(Error error) {
  error.message += "; no file was changed";
  return error;
}

// One commit: what it has done so far is what its journal says.
class Edit {
 public:
  Edit(const Workspace& workspace, std::span<const FileChange> changes, const JournalFile& journal_file)
      : workspace_(workspace), ops_(workspace.ops()), changes_(changes), journal_file_(journal_file) {}

  Status run() {
    ATELIER_CHECK_OK(check_limits());
    ATELIER_CHECK_OK(check_files());
    ATELIER_CHECK_OK(name_entries());
    Status done = journal_file_.store(journal_);
    if (done) done = stage();
    if (done) {
      journal_.stage = Journal::Stage::kReady;
      done = journal_file_.store(journal_);
    }
    if (done) done = switch_all();
    if (!done) return give_up(std::move(done).error());
    clean_up();
    return {};
  }

 private:
  Status check_limits() const {
    if (changes_.size() > kMaxEditFiles)
      return fail(ErrorCode::kLimit, "expected at most {} files in one edit, found {}", kMaxEditFiles,
                  changes_.size());
    size_t bytes = 0;
    std::unordered_set<std::string_view> paths;
    for (const FileChange& change : changes_) {
      if (!paths.insert(change.path).second)
        return fail(ErrorCode::kInvalidArgument, "{}: stands twice in one edit", change.path);
      for (const auto* version : {&change.before, &change.after})
        if (*version) bytes += (*version)->content.size();
      if (change.after && change.after->content.size() > kMaxFileBytes)
        return fail(ErrorCode::kLimit, "{}: expected at most {} bytes, found {}", change.path, kMaxFileBytes,
                    change.after->content.size());
    }
    if (bytes > kMaxEditBytes)
      return fail(ErrorCode::kLimit, "expected at most {} bytes in one edit, found {}", kMaxEditBytes, bytes);
    return {};
  }

  // What is on disk is what the change was made for.
  Status check_files() {
    for (const FileChange& change : changes_) {
      if (!change.before) {
        ATELIER_CHECK_OK(check_absent(change.path));
        owners_.emplace_back();
        continue;
      }
      auto found = workspace_.read(change.path, kMaxFileBytes);
      if (!found) return tl::unexpected<Error>(std::move(found).error());
      const mode_t mode = found->info.st_mode & kPermissions;
      if (found->bytes != change.before->content || (change.before->mode && *change.before->mode != mode))
        return fail(ErrorCode::kIo, "{}: changed since it was read", change.path);
      owners_.push_back(found->info);
    }
    return {};
  }

  Status check_absent(const std::string& path) const {
    const auto folder = workspace_.open_parent(path);
    if (!folder && folder.error().code == ErrorCode::kNotFound) return {};
    if (!folder) return tl::unexpected<Error>(folder.error());
    struct stat info{};
    if (ops_.lstat(folder->get(), name_of(path).c_str(), &info) == 0)
      return fail(ErrorCode::kIo, "{}: expected no such file, found {}", path,
                  S_ISREG(info.st_mode)   ? "one"
                  : S_ISDIR(info.st_mode) ? "a folder"
                                          : "a special file");
    return errno == ENOENT ? Status() : tl::unexpected<Error>(workspace_.error(path, errno));
  }

  Status name_entries() {
    uint64_t nonce = 0;
    if (::getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
      return fail(ErrorCode::kIo, "getrandom: {}", std::generic_category().message(errno));
    journal_.root = workspace_.root().string();
    std::set<std::string> folders;  // sorted: parents come before what they hold
    for (size_t i = 0; i < changes_.size(); ++i) {
      const FileChange& change = changes_[i];
      JournalEntry entry{change.path,
                         fmt::format(".atelier-{:016x}-{}", nonce, i),
                         fmt::format(".atelier-{:016x}-{}-old", nonce, i),
                         {},
                         {}};
      if (change.before) entry.before = identity_of(owners_[i]);
      journal_.entries.push_back(std::move(entry));
      if (change.after) ATELIER_CHECK_OK(find_missing_folders(change.path, folders));
    }
    journal_.folders.assign(folders.begin(), folders.end());
    return {};
  }

  Status find_missing_folders(const std::string& path, std::set<std::string>& missing) const {
    for (std::string folder = parent_of(path); !folder.empty(); folder = parent_of(folder)) {
      const auto found = workspace_.open_path(folder, O_RDONLY | O_DIRECTORY);
      if (found) return {};
      if (found.error().code != ErrorCode::kNotFound) return tl::unexpected<Error>(found.error());
      missing.insert(folder);
    }
    return {};
  }

  Status stage() {
    for (const std::string& folder : journal_.folders) {
      ATELIER_TRY(const Descriptor parent, workspace_.open_parent(folder));
      if (ops_.mkdir(parent.get(), name_of(folder).c_str(), 0777) != 0)
        return tl::unexpected<Error>(workspace_.error(folder, errno));
      if (ops_.fsync(parent.get()) != 0) return tl::unexpected<Error>(workspace_.error(folder, errno));
    }
    for (size_t i = 0; i < changes_.size(); ++i) {
      ATELIER_TRY(Switcher switcher, Switcher::open(workspace_, journal_.entries[i]));
      if (changes_[i].after) ATELIER_CHECK_OK(write_staged(i));
      switchers_.push_back(std::move(switcher));
      if (unsynced_.size() == kMaxUnsynced) ATELIER_CHECK_OK(sync_staged());
    }
    ATELIER_CHECK_OK(sync_staged());
    return sync_folders();  // the staged names must be on disk before the journal promises them
  }

  // The disk is told of all files before the first is waited for: a file system that keeps a log then writes
  // it once for all of them, and the waits after the first are short.
  Status sync_staged() {
    for (const Unsynced& file : unsynced_)
      (void)::sync_file_range(file.fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // a hint
    for (const Unsynced& file : unsynced_) {
      struct stat info{};
      if (ops_.fsync(file.fd.get()) != 0 || ops_.fstat(file.fd.get(), &info) != 0)
        return tl::unexpected<Error>(workspace_.error(changes_[file.index].path, errno));
      journal_.entries[file.index].after = identity_of(info);
    }
    unsynced_.clear();
    return {};
  }

  Status sync_folders() {
    std::unordered_set<std::string> synced;
    for (size_t i = 0; i < switchers_.size(); ++i)
      if (synced.insert(parent_of(changes_[i].path)).second) ATELIER_CHECK_OK(switchers_[i].sync());
    return {};
  }

  Status write_staged(size_t i) {
    const FileChange& change = changes_[i];
    const JournalEntry& entry = journal_.entries[i];
    const auto failed = [&] { return tl::unexpected<Error>(workspace_.error(change.path, errno)); };
    ATELIER_TRY(const Descriptor folder, workspace_.open_parent(change.path));
    Descriptor fd(ops_.open(folder.get(), entry.staged.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd.get() < 0) return failed();
    for (std::string_view rest = change.after->content; !rest.empty();) {
      const ssize_t written = ops_.write(fd.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failed();
      rest.remove_prefix(static_cast<size_t>(written));
    }
    struct stat info{};
    if (ops_.fstat(fd.get(), &info) != 0) return failed();
    // Another owner is kept where we may (an administrator's edit of somebody's file); chown clears set-id
    // bits, so the mode comes after it.
    if (change.before && (info.st_uid != owners_[i].st_uid || info.st_gid != owners_[i].st_gid))
      (void)ops_.fchown(fd.get(), owners_[i].st_uid, owners_[i].st_gid);
    std::optional<mode_t> mode = change.after->mode;
    if (!mode && change.before) mode = owners_[i].st_mode & kPermissions;
    if (mode && ops_.fchmod(fd.get(), *mode) != 0) return failed();
    unsynced_.push_back({i, std::move(fd)});
    return {};
  }

  Status switch_all() {
    for (size_t i = 0; i < switchers_.size(); ++i) {
      if (switchers_[i].state() != Switcher::State::kBefore)
        return fail(ErrorCode::kIo, "{}: changed while it was being edited", changes_[i].path);
      ATELIER_CHECK_OK(switchers_[i].forward());
    }
    return sync_folders();
  }

  // The edit is made. What cannot be removed now, the next recovery removes: the journal stays for it.
  void clean_up() {
    (void)journal_file_.mark_made();
    for (Switcher& switcher : switchers_)
      if (!switcher.discard_old()) return;
    (void)journal_file_.remove();
  }

  Status give_up(Error error) {
    std::string stuck;
    for (size_t i = switchers_.size(); i-- > 0;)
      // Where somebody else's file is in the way, ours never got there.
      if (switchers_[i].state() != Switcher::State::kForeign && !switchers_[i].backward())
        stuck += (stuck.empty() ? "" : ", ") + changes_[i].path;
    if (!stuck.empty()) {
      error.message += fmt::format("; could not be put back and will be by the next recovery: {}", stuck);
      return tl::unexpected<Error>(std::move(error));
    }
    bool clean = true;
    for (const JournalEntry& entry : journal_.entries) {
      auto switcher = Switcher::open(workspace_, entry);
      if (switcher && !switcher->discard_new()) clean = false;
    }
    if (clean && remove_folders(workspace_, journal_)) (void)journal_file_.remove();
    return tl::unexpected<Error>(unchanged(std::move(error)));
  }

  struct Unsynced {
    size_t index;
    Descriptor fd;
  };
  static constexpr size_t kMaxUnsynced = 128;  // descriptors are few

  const Workspace& workspace_;
  FileOps& ops_;
  std::span<const FileChange> changes_;
  const JournalFile& journal_file_;
  Journal journal_;
  std::vector<struct stat> owners_;  // of the files before, one per change
  std::vector<Switcher> switchers_;
  std::vector<Unsynced> unsynced_;  // written, perhaps not yet on disk
};

}  // namespace

Status commit_changes(const Workspace& workspace, std::span<const FileChange> changes,
                      const std::filesystem::path& journal_folder) {
  ATELIER_TRY(const EditLock lock, EditLock::take(workspace));
  const JournalFile journal_file(journal_folder, workspace);
  ATELIER_TRY(const Recovery recovered, recover_locked(workspace, journal_file));
  (void)recovered;
  return changes.empty() ? Status() : Edit(workspace, changes, journal_file).run();
}

}  // namespace atelier::agent
