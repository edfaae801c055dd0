// The system calls that edits are made of, in one place: a test makes any of them fail, or be the last one.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>

namespace atelier::agent {

// Each returns what the call of its name returns: -1 with errno set where it failed. Folders are descriptors;
// names stand directly in them, except for open_beneath.
class FileOps {
 public:
  virtual ~FileOps() = default;
  // openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS; ENOSYS where the kernel or a
  // container's filter does not know it.
  virtual int open_beneath(int folder, const char* path, int flags, mode_t mode);
  virtual int open(int folder, const char* name, int flags, mode_t mode);
  virtual ssize_t read(int fd, void* bytes, size_t n);
  virtual ssize_t write(int fd, const void* bytes, size_t n);
  virtual int fstat(int fd, struct stat* info);
  virtual int lstat(int folder, const char* name, struct stat* info);
  virtual int fchmod(int fd, mode_t mode);
  virtual int fchown(int fd, uid_t owner, gid_t group);
  virtual int fsync(int fd);
  virtual int mkdir(int folder, const char* name, mode_t mode);
  virtual int rename(int from, const char* old_name, int to, const char* new_name, unsigned flags);
  virtual int unlink(int folder, const char* name, int flags);
};

// The calls themselves.
FileOps& system_file_ops();

}  // namespace atelier::agent
