// LD_PRELOAD: makes one system call on files below FAULT_ROOT fail, or the last thing the process does.
//
//   FAULT_ROOT   only calls on paths below it count
//   FAULT_AT     which of them fails, from 1; 0: none
//   FAULT_MODE   EIO, ENOSPC, EINTR, SHORT (half a write), or KILL (SIGKILL before the call)
//   FAULT_LOG    receives a line per call: its number and name
//   FAULT_FREE   statvfs says so many bytes are free
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

static int calls;  // the program opens, writes and renames files on one thread

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char* path) {
  const char* root = getenv("FAULT_ROOT");
  return root != NULL && path != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int fd_below(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return below(path);
}

static void log_call(const char* name) {
  const char* log = getenv("FAULT_LOG");
  if (log == NULL) return;
  char line[128];
  const int size = snprintf(line, sizeof line, "%d %s\n", calls, name);
  const int fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  if (REAL(write)(fd, line, (size_t)size) < 0) abort();
  close(fd);
}

// 1: the call must fail with errno; 2: it must do half its work.
static int faulty(const char* name) {
  ++calls;
  log_call(name);
  const char* at = getenv("FAULT_AT");
  const char* mode = getenv("FAULT_MODE");
  if (at == NULL || mode == NULL || atoi(at) != calls) return 0;
  if (strcmp(mode, "KILL") == 0) kill(getpid(), SIGKILL);
  if (strcmp(mode, "SHORT") == 0) return 2;
  errno = strcmp(mode, "ENOSPC") == 0 ? ENOSPC : strcmp(mode, "EINTR") == 0 ? EINTR : EIO;
  return 1;
}

static int fails(int concerned, const char* name) { return concerned && faulty(name) == 1; }

#define PATH_CALL(name, declaration, arguments, path) \
  int name declaration { return fails(below(path), #name) ? -1 : REAL(name) arguments; }
#define FD_CALL(name, declaration, arguments) \
  int name declaration { return fails(fd_below(fd), #name) ? -1 : REAL(name) arguments; }

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  return fails(below(path), "open") ? -1 : REAL(open)(path, flags, mode);
}
PATH_CALL(mkdir, (const char* path, mode_t mode), (path, mode), path)
PATH_CALL(rename, (const char* from, const char* to), (from, to), to)
PATH_CALL(renameat2, (int a, const char* from, int b, const char* to, unsigned int flags), (a, from, b, to, flags), to)
PATH_CALL(link, (const char* from, const char* to), (from, to), to)
PATH_CALL(linkat, (int a, const char* from, int b, const char* to, int flags), (a, from, b, to, flags), to)
PATH_CALL(unlink, (const char* path), (path), path)
PATH_CALL(unlinkat, (int fd, const char* path, int flags), (fd, path, flags), path)
PATH_CALL(remove, (const char* path), (path), path)
PATH_CALL(rmdir, (const char* path), (path), path)
PATH_CALL(mkostemp, (char* path, int flags), (path, flags), path)
FD_CALL(fsync, (int fd), (fd))
FD_CALL(fdatasync, (int fd), (fd))
FD_CALL(ftruncate, (int fd, off_t size), (fd, size))
FD_CALL(fchmod, (int fd, mode_t mode), (fd, mode))
FD_CALL(flock, (int fd, int operation), (fd, operation))

int fallocate(int fd, int mode, off_t offset, off_t size) {
  return fails(fd_below(fd), "fallocate") ? -1 : REAL(fallocate)(fd, mode, offset, size);
}
char* mkdtemp(char* path) { return fails(below(path), "mkdtemp") ? NULL : REAL(mkdtemp)(path); }

ssize_t write(int fd, const void* data, size_t size) {
  if (!fd_below(fd)) return REAL(write)(fd, data, size);
  const int fault = faulty("write");
  return fault == 1 ? -1 : REAL(write)(fd, data, fault == 2 ? (size + 1) / 2 : size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (!fd_below(fd)) return REAL(pwrite)(fd, data, size, offset);
  const int fault = faulty("pwrite");
  return fault == 1 ? -1 : REAL(pwrite)(fd, data, fault == 2 ? (size + 1) / 2 : size, offset);
}
ssize_t read(int fd, void* data, size_t size) {
  if (!fd_below(fd)) return REAL(read)(fd, data, size);
  const int fault = faulty("read");
  return fault == 1 ? -1 : REAL(read)(fd, data, fault == 2 ? (size + 1) / 2 : size);
}
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  if (!fd_below(fd)) return REAL(pread)(fd, data, size, offset);
  const int fault = faulty("pread");
  return fault == 1 ? -1 : REAL(pread)(fd, data, fault == 2 ? (size + 1) / 2 : size, offset);
}
int statvfs(const char* path, struct statvfs* info) {
  if (fails(below(path), "statvfs")) return -1;
  const int result = REAL(statvfs)(path, info);
  const char* free_bytes = getenv("FAULT_FREE");
  if (result == 0 && free_bytes != NULL) info->f_bavail = strtoull(free_bytes, NULL, 10) / info->f_frsize;
  return result;
}
