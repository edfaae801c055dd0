#include "agent/sandbox/placeholder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "agent/sandbox/os_error.h"

namespace atelier::agent {
namespace {

// The time of modification that tells our folders from a user's own empty ones: 1970, with a number in it.
constexpr timespec kMark{.tv_sec = 1, .tv_nsec = 417'041'000};

bool is_marked(const struct stat& info) {
  return S_ISDIR(info.st_mode) && info.st_mtim.tv_sec == kMark.tv_sec &&
         info.st_mtim.tv_nsec == kMark.tv_nsec;
}

bool may_not_write(int error) { return error == EACCES || error == EROFS || error == EPERM; }

// An empty folder that has its mark from the moment it has its name. An errno, or 0.
int make_marked(const std::string& path) {
  std::string draft = path + ".atelier-XXXXXX";
  if (::mkdtemp(draft.data()) == nullptr) return errno;
  const std::array<timespec, 2> times = {timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, kMark};
  int error = ::chmod(draft.c_str(), 0755) == 0 && ::utimensat(AT_FDCWD, draft.c_str(), times.data(), 0) == 0
                  ? 0
                  : errno;
  if (error == 0 && ::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
    error = errno;
  if (error != 0) ::rmdir(draft.c_str());
  return error;
}

// Makes the folder, or opens the one another command made. Nothing: no placeholder is needed or possible.
Result<std::optional<Descriptor>> hold_one(const std::string& path) {
  constexpr int kAttempts = 100;  // others come and go
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0) {
      if (S_ISLNK(info.st_mode))
        return fail(
            ErrorCode::kInvalidArgument,
            "{}: is a symbolic link, which cannot be protected from commands; use the read-only sandbox",
            path);
      if (!is_marked(info)) return std::nullopt;
    } else if (errno != ENOENT) {
      return refused(path, errno, ErrorCode::kIo);
    } else {
      const int error = make_marked(path);
      if (may_not_write(error)) return std::nullopt;
      if (error != 0 && error != EEXIST) return refused(path, error, ErrorCode::kIo);
      if (error == EEXIST) continue;
    }
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.get() < 0 || ::flock(fd.get(), LOCK_SH) != 0) continue;
    // The one that held it before may have removed it between opening and locking.
    struct stat locked{};
    if (::fstat(fd.get(), &locked) == 0 && ::lstat(path.c_str(), &info) == 0 && locked.st_ino == info.st_ino)
      return fd;
  }
  return refused(path, EBUSY, ErrorCode::kIo);
}

}  // namespace

Result<Placeholders> Placeholders::hold(const std::vector<std::string>& paths) {
  Placeholders all;
  for (const std::string& path : paths) {
    ATELIER_TRY(std::optional<Descriptor> fd, hold_one(path));
    if (fd) all.held_.push_back({path, std::move(*fd)});
  }
  return all;
}

Placeholders::~Placeholders() {
  for (const Held& held : held_) {
    if (::flock(held.fd.get(), LOCK_EX | LOCK_NB) != 0) continue;  // another command still needs it
    struct stat info{};
    // Removes only what is empty, so nobody's files.
    if (::lstat(held.path.c_str(), &info) == 0 && is_marked(info)) ::rmdir(held.path.c_str());
  }
}

}  // namespace atelier::agent
