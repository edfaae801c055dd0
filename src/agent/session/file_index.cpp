#include "agent/session/file_index.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <ctime>

#include "agent/tools/file_walk.h"
#include "agent/workspace/transaction.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kIndexMagic = "AtelierFiles1\n";
// File systems stamp times in ticks of the kernel (up to 10 ms): of two writes within one, the second leaves
// no trace.
constexpr int64_t kTickNs = 20'000'000;
// Names an edit uses for files it has not finished (workspace/transaction.h).
constexpr std::string_view kDraftPrefix = ".atelier-";

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

bool is_draft(const std::string& path) { return name_of(path).starts_with(kDraftPrefix); }

Result<std::string> link_target(const Workspace& workspace, const std::string& path) {
  ATELIER_TRY(const Descriptor folder, workspace.open_parent(path));
  std::array<char, 4096> target{};
  const ssize_t size = ::readlinkat(folder.get(), name_of(path).c_str(), target.data(), target.size());
  if (size < 0) return tl::unexpected<Error>(workspace.error(path, errno));
  return std::string(target.data(), static_cast<size_t>(size));
}

void put(std::string& out, const auto& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Reads what put() wrote; false at the end.
bool take(std::string_view& in, auto& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

}  // namespace

// One look at a workspace: entries found, contents kept.
class FileIndex::Look {
 public:
  Look(const Workspace& workspace, const Entries& before, const KeepContent& keep)
      : workspace_(workspace), before_(before), keep_(keep) {}

  // What stands at `path` now; nothing where it cannot be told.
  Result<std::optional<Entry>> entry_of(const std::string& path, const struct stat& info) {
    Entry entry{.state = {},
                .size = info.st_size,
                .modified_ns = nanoseconds(info.st_mtim),
                .changed_ns = nanoseconds(info.st_ctim),
                .inode = info.st_ino};
    if (S_ISDIR(info.st_mode)) {
      entry.state.kind = FileKind::kFolder;
      return entry;
    }
    const bool is_link = S_ISLNK(info.st_mode);
    if (!is_link && !S_ISREG(info.st_mode)) return std::nullopt;
    entry.state.kind = is_link ? FileKind::kLink : FileKind::kFile;
    entry.state.mode = is_link ? 0 : info.st_mode & 07777;
    if (const auto old = before_.find(path); old != before_.end() && same_file(old->second, entry)) {
      entry.state.digest = old->second.state.digest;
      entry.state.kept = old->second.state.kept;
      return entry;
    }
    Result<std::string> bytes = is_link ? link_target(workspace_, path)
                                : info.st_size > static_cast<int64_t>(kMaxFileBytes) ? too_large()
                                                                                     : content(path);
    entry.state.kept = bytes.has_value() && read_bytes_ + bytes->size() <= kMaxScanBytes;
    if (!entry.state.kept) {
      entry.state.digest = sha256(fmt::format("{} {} {}", info.st_ino, info.st_size, entry.modified_ns));
      return entry;
    }
    read_bytes_ += bytes->size();
    entry.state.digest = sha256(*bytes);
    ATELIER_CHECK_OK(keep_(entry.state.digest, *bytes));
    if (started_ns_ - std::max(entry.modified_ns, entry.changed_ns) < kTickNs) entry.inode = 0;
    return entry;
  }

 private:
  static bool same_file(const Entry& a, const Entry& b) {
    return a.inode != 0 && a.inode == b.inode && a.size == b.size && a.modified_ns == b.modified_ns &&
           a.changed_ns == b.changed_ns && a.state.kind == b.state.kind;
  }
  static Result<std::string> too_large() { return fail(ErrorCode::kLimit, "too large to be kept"); }
  Result<std::string> content(const std::string& path) const {
    ATELIER_TRY(Workspace::Content file, workspace_.read(path, kMaxFileBytes));
    return std::move(file.bytes);
  }

  const Workspace& workspace_;
  const Entries& before_;
  const KeepContent& keep_;
  const int64_t started_ns_ = now_ns();
  uint64_t read_bytes_ = 0;
};

std::optional<FileState> FileIndex::find(const std::string& path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.state);
}

Result<std::vector<StateChange>> FileIndex::scan(const Workspace& workspace, const KeepContent& keep) {
  Look look(workspace, entries_, keep);
  Entries found;
  found.reserve(entries_.size() + 64);
  std::vector<StateChange> changes;
  Status failed;
  const auto walked = walk_files(workspace, {}, [&](const WalkEntry& at) {
    if (is_draft(at.path)) return Walk::kSkip;
    Result<std::optional<Entry>> entry = look.entry_of(at.path, at.info);
    if (!entry) {
      failed = tl::unexpected<Error>(std::move(entry).error());
      return Walk::kEnd;
    }
    if (!*entry) return Walk::kOn;
    std::optional<FileState> before = this->find(at.path);
    if (before != (*entry)->state) changes.push_back({at.path, before, (*entry)->state});
    found.emplace(at.path, **entry);
    return Walk::kOn;
  });
  if (!walked) return tl::unexpected<Error>(walked.error());
  ATELIER_CHECK_OK(failed);
  for (auto& [path, entry] : entries_) {
    if (found.contains(path)) continue;
    // Names past the walk's limit, and ignored ones that a tool changed, are asked for one by one.
    const auto parent = workspace.open_parent(path);
    struct stat info{};
    if (parent && ::fstatat(parent->get(), name_of(path).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      ATELIER_TRY(const std::optional<Entry> now, look.entry_of(path, info));
      if (now) {
        if (now->state != entry.state) changes.push_back({path, entry.state, now->state});
        found.emplace(path, *now);
        continue;
      }
    }
    changes.push_back({path, entry.state, std::nullopt});
  }
  entries_ = std::move(found);
  return changes;
}

Result<std::vector<StateChange>> FileIndex::look_at(const Workspace& workspace,
                                                    const std::vector<std::string>& paths,
                                                    const KeepContent& keep) {
  Look look(workspace, entries_, keep);
  std::vector<StateChange> changes;
  for (const std::string& path : paths) {
    const std::optional<FileState> before = find(path);
    const auto parent = workspace.open_parent(path);
    struct stat info{};
    std::optional<Entry> now;
    if (parent && ::fstatat(parent->get(), name_of(path).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      ATELIER_TRY(now, look.entry_of(path, info));
    }
    const std::optional<FileState> after = now ? std::optional(now->state) : std::nullopt;
    if (before != after) changes.push_back({path, before, after});
    if (now) {
      entries_[path] = *now;
    } else {
      entries_.erase(path);
    }
  }
  return changes;
}

std::string FileIndex::encode() const {
  std::string out(kIndexMagic);
  for (const auto& [path, entry] : entries_) {
    put(out, static_cast<uint32_t>(path.size()));
    out += path;
    put(out, entry.state.kind);
    put(out, entry.state.kept);
    put(out, entry.state.mode);
    put(out, entry.state.digest);
    for (const int64_t value : {entry.size, entry.modified_ns, entry.changed_ns}) put(out, value);
    put(out, entry.inode);
  }
  const Sha256 check = sha256(out);
  put(out, check);
  return out;
}

FileIndex FileIndex::decode(std::string_view bytes) {
  FileIndex index;
  if (bytes.size() < kIndexMagic.size() + sizeof(Sha256) || !bytes.starts_with(kIndexMagic)) return index;
  std::string_view check = bytes.substr(bytes.size() - sizeof(Sha256));
  bytes.remove_suffix(sizeof(Sha256));
  Sha256 expected;
  take(check, expected);
  if (sha256(bytes) != expected) return index;
  bytes.remove_prefix(kIndexMagic.size());
  for (uint32_t size = 0; take(bytes, size) && size <= bytes.size();) {
    Entry entry;
    std::string path(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (!(take(bytes, entry.state.kind) && take(bytes, entry.state.kept) && take(bytes, entry.state.mode) &&
          take(bytes, entry.state.digest) && take(bytes, entry.size) && take(bytes, entry.modified_ns) &&
          take(bytes, entry.changed_ns) && take(bytes, entry.inode)))
      break;
    index.entries_.emplace(std::move(path), entry);
  }
  return index;
}

}  // namespace atelier::agent
