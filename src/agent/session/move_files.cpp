#include "agent/session/move_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <map>
#include <utility>

#include "agent/workspace/transaction.h"

namespace atelier::agent {
namespace {

bool is_kind(const std::optional<FileState>& state, FileKind kind) { return state && state->kind == kind; }

class Mover {
 public:
  Mover(const Workspace& workspace, const FindContent& content, const std::filesystem::path& journal_folder)
      : workspace_(workspace), content_(content), journal_folder_(journal_folder) {}

  Result<MovedFiles> run(std::span<const StateChange> changes) {
    for (const StateChange& change : changes) ATELIER_CHECK_OK(sort_in(change));
    // All at once, unless something changes its kind: then what goes or changes, what stood in the way of
    // others, and what comes.
    const bool mixed = std::ranges::any_of(work_, [](const StateChange* change) {
      return change->before && change->after && change->before->kind != change->after->kind;
    });
    if (!mixed) std::ranges::move(std::exchange(come_, {}), std::back_inserter(gone_));
    ATELIER_CHECK_OK(commit(gone_));
    for (const StateChange* change : work_)
      if (is_kind(change->before, FileKind::kLink)) ATELIER_CHECK_OK(remove_link(change->path));
    ATELIER_CHECK_OK(remove_folders());
    for (const StateChange* change : work_)
      if (is_kind(change->after, FileKind::kFolder)) ATELIER_CHECK_OK(make_folder(change->path));
    ATELIER_CHECK_OK(commit(come_));
    for (const StateChange* change : work_)
      if (is_kind(change->after, FileKind::kLink)) ATELIER_CHECK_OK(make_link(*change));
    return std::move(report_);
  }

 private:
  // Reads what stands there and decides what is to be done with it.
  Status sort_in(const StateChange& change) {
    if ((change.before && !change.before->kept) || (change.after && !change.after->kept))
      return leave(change.path);
    ATELIER_TRY(Found now, look(change.path));
    if (same(now, change.after)) return {};
    if (!same(now, change.before)) return leave(change.path);
    const bool was_file = is_kind(change.before, FileKind::kFile),
               is_file = is_kind(change.after, FileKind::kFile);
    if (was_file || is_file) {
      FileChange edit{.path = change.path, .before = {}, .after = {}, .moved_from = {}, .moved_to = {}};
      if (was_file) edit.before = FileVersion{std::move(now.bytes), change.before->mode};
      if (is_file) {
        Result<std::string> bytes = content_(change.after->digest);
        if (!bytes && bytes.error().code == ErrorCode::kNotFound) return leave(change.path);
        if (!bytes) return tl::unexpected<Error>(std::move(bytes).error());
        edit.after = FileVersion{std::move(*bytes), change.after->mode};
      }
      (was_file ? gone_ : come_).push_back(std::move(edit));
    }
    work_.push_back(&change);
    report_.moved.push_back(change.path);
    return {};
  }

  Status leave(const std::string& path) {
    report_.left.push_back(path);
    return {};
  }

  struct Found {
    std::optional<FileState> state;
    std::string bytes;
    bool strange = false;  // a device, or nothing we may look at
  };
  Result<Found> look(const std::string& path) const {
    Found found;
    const auto folder = workspace_.open_parent(path);
    struct stat info{};
    if (!folder || ::fstatat(folder->get(), name_of(path).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      // A file or a link where a folder was expected: nothing of ours stands below it.
      const bool absent = folder ? errno == ENOENT || errno == ENOTDIR
                                 : folder.error().code == ErrorCode::kNotFound ||
                                       folder.error().code == ErrorCode::kInvalidArgument;
      found.strange = !absent;
      return found;
    }
    FileState& state = found.state.emplace();
    if (S_ISDIR(info.st_mode)) {
      state.kind = FileKind::kFolder;
      return found;
    }
    if (S_ISLNK(info.st_mode)) {
      std::array<char, 4096> target{};
      const ssize_t size = ::readlinkat(folder->get(), name_of(path).c_str(), target.data(), target.size());
      found.bytes.assign(target.data(), static_cast<size_t>(std::max<ssize_t>(0, size)));
      state.kind = FileKind::kLink;
    } else {
      Result<Workspace::Content> file = workspace_.read(path, kMaxFileBytes);
      found.strange = !file;
      if (!file) return found;
      found.bytes = std::move(file->bytes);
      state.mode = file->info.st_mode & 07777;
    }
    state.digest = sha256(found.bytes);
    return found;
  }
  static bool same(const Found& found, const std::optional<FileState>& state) {
    return !found.strange && found.state == state;
  }

  // In as many transactions as their limits ask for; a killed one is finished by the next call.
  Status commit(std::vector<FileChange>& edits) const {
    for (size_t begin = 0; begin < edits.size();) {
      size_t end = begin, bytes = 0;
      for (; end < edits.size() && end - begin < kMaxEditFiles; ++end) {
        for (const auto* version : {&edits[end].before, &edits[end].after})
          if (*version) bytes += (*version)->content.size();
        if (end > begin && bytes > kMaxEditBytes) break;
      }
      ATELIER_CHECK_OK(
          commit_changes(workspace_, std::span(edits).subspan(begin, end - begin), journal_folder_));
      begin = end;
    }
    return {};
  }

  Status remove_link(const std::string& path) const {
    ATELIER_TRY(const Descriptor folder, workspace_.open_parent(path));
    if (::unlinkat(folder.get(), name_of(path).c_str(), 0) != 0 && errno != ENOENT)
      return tl::unexpected<Error>(workspace_.error(path, errno));
    return {};
  }
  Status remove_folders() const {
    std::vector<const StateChange*> folders;
    for (const StateChange* change : work_)
      if (is_kind(change->before, FileKind::kFolder)) folders.push_back(change);
    // What a folder holds sorts after it.
    std::ranges::sort(folders, std::ranges::greater(), &StateChange::path);
    for (const StateChange* change : folders) {
      const auto parent = workspace_.open_parent(change->path);
      if (parent && ::unlinkat(parent->get(), name_of(change->path).c_str(), AT_REMOVEDIR) != 0 &&
          errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        return tl::unexpected<Error>(workspace_.error(change->path, errno));
    }
    return {};
  }
  Status make_folder(const std::string& path) const {
    if (!parent_of(path).empty()) {
      const auto above = workspace_.open_parent(path);
      if (!above && above.error().code == ErrorCode::kNotFound)
        ATELIER_CHECK_OK(make_folder(parent_of(path)));
    }
    ATELIER_TRY(const Descriptor parent, workspace_.open_parent(path));
    if (::mkdirat(parent.get(), name_of(path).c_str(), 0777) != 0 && errno != EEXIST)
      return tl::unexpected<Error>(workspace_.error(path, errno));
    return {};
  }
  Status make_link(const StateChange& change) const {
    ATELIER_TRY(const std::string target, content_(change.after->digest));
    if (!parent_of(change.path).empty()) ATELIER_CHECK_OK(make_folder(parent_of(change.path)));
    ATELIER_TRY(const Descriptor parent, workspace_.open_parent(change.path));
    if (::symlinkat(target.c_str(), parent.get(), name_of(change.path).c_str()) != 0)
      return tl::unexpected<Error>(workspace_.error(change.path, errno));
    return {};
  }

  const Workspace& workspace_;
  const FindContent& content_;
  const std::filesystem::path& journal_folder_;
  std::vector<const StateChange*> work_;
  std::vector<FileChange> gone_, come_;  // gone_: deleted or changed
  MovedFiles report_;
};

}  // namespace

Result<MovedFiles> move_files(const Workspace& workspace, std::span<const StateChange> changes,
                              const FindContent& content, const std::filesystem::path& journal_folder) {
  return Mover(workspace, content, journal_folder).run(changes);
}

std::vector<StateChange> compose(std::span<const StateChange> first, std::span<const StateChange> second) {
  std::map<std::string, StateChange> both;
  for (const StateChange& change : first) both.emplace(change.path, change);
  for (const StateChange& change : second) {
    const auto [at, added] = both.emplace(change.path, change);
    if (!added) at->second.after = change.after;
  }
  std::vector<StateChange> out;
  for (auto& [path, change] : both)
    if (change.before != change.after) out.push_back(std::move(change));
  return out;
}

std::vector<StateChange> inverse(std::span<const StateChange> changes) {
  std::vector<StateChange> out;
  for (const StateChange& change : changes) out.push_back({change.path, change.after, change.before});
  return out;
}

}  // namespace atelier::agent
