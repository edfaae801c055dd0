#include "agent/workspace/file_ops.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace atelier::agent {

int FileOps::open_beneath(int folder, const char* path, int flags, mode_t mode) {
  struct open_how how{};
  how.flags = static_cast<unsigned>(flags);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;  // the kernel refuses a mode that means nothing
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  do fd = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
  while (fd < 0 && errno == EINTR);
  return static_cast<int>(fd);
}

int FileOps::open(int folder, const char* name, int flags, mode_t mode) {
  return ::openat(folder, name, flags, mode);
}
ssize_t FileOps::read(int fd, void* bytes, size_t n) { return ::read(fd, bytes, n); }
ssize_t FileOps::write(int fd, const void* bytes, size_t n) { return ::write(fd, bytes, n); }
int FileOps::fstat(int fd, struct stat* info) { return ::fstat(fd, info); }
int FileOps::lstat(int folder, const char* name, struct stat* info) {
  return ::fstatat(folder, name, info, AT_SYMLINK_NOFOLLOW);
}
int FileOps::fchmod(int fd, mode_t mode) { return ::fchmod(fd, mode); }
int FileOps::fchown(int fd, uid_t owner, gid_t group) { return ::fchown(fd, owner, group); }
int FileOps::fsync(int fd) { return ::fsync(fd); }
int FileOps::mkdir(int folder, const char* name, mode_t mode) { return ::mkdirat(folder, name, mode); }
int FileOps::rename(int from, const char* old_name, int to, const char* new_name, unsigned flags) {
  return ::renameat2(from, old_name, to, new_name, flags);
}
int FileOps::unlink(int folder, const char* name, int flags) { return ::unlinkat(folder, name, flags); }

FileOps& system_file_ops() {
  static FileOps ops;  // has no state
  return ops;
}

}  // namespace atelier::agent
