#include "io/store_staging.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/file.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kSpareBytes = uint64_t{16} << 20;
constexpr size_t kCopyBytes = size_t{4} << 20;

tl::unexpected<Error> errno_failure(const fs::path& path) {
  return tl::unexpected<Error>(errno_error(path, errno));
}

Descriptor open_folder(const fs::path& folder) {
  return Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

bool is_same_folder(int fd, const fs::path& path) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// Removes what processes that no longer live have left. Holding the lock of `staging` keeps out those who
// have made their folder and not locked it yet.
void sweep(const fs::path& staging) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(staging, error)) leftovers.push_back(item.path());
  for (const fs::path& leftover : leftovers) {
    const Descriptor folder = open_folder(leftover);
    if (folder.get() < 0 || ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) fs::remove_all(leftover, error);
  }
}

Status copy_all(int from, int to, uint64_t bytes, const fs::path& from_path, const fs::path& to_path,
                const TransferHooks& hooks) {
  std::vector<char> chunk(kCopyBytes);
  uint64_t done = 0;
  for (;;) {
    ATELIER_CHECK_OK(hooks.check(from_path.string()));
    const ssize_t got = ::read(from, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_failure(from_path);
    if (got == 0) return {};
    for (ssize_t put = 0; put < got;) {
      const ssize_t written = ::write(to, chunk.data() + put, static_cast<size_t>(got - put));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return errno_failure(to_path);
      put += written;
    }
    done += static_cast<uint64_t>(got);
    hooks.report("copying", done, bytes);
  }
}

}  // namespace

Result<Staging> Staging::create(const fs::path& store_root) {
  const fs::path staging = store_root / "staging";
  ATELIER_CHECK_OK(make_folders(staging));
  const Descriptor all = open_folder(staging);
  if (all.get() < 0 || ::flock(all.get(), LOCK_EX) != 0) return errno_failure(staging);
  sweep(staging);

  std::string folder = (staging / "XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return errno_failure(staging);
  Descriptor lock = open_folder(folder);
  if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return errno_failure(folder);
  Staging made(folder, std::move(lock), /*keep=*/false);
  ATELIER_CHECK_OK(make_folders(made.files()));
  return made;
}

Result<Staging> Staging::resume(const fs::path& store_root, std::string_view name) {
  const fs::path folder = store_root / "downloads" / name;
  for (;;) {
    ATELIER_CHECK_OK(make_folders(folder));
    Descriptor lock = open_folder(folder);
    if (lock.get() < 0 && errno == ENOENT) continue;
    if (lock.get() < 0) return errno_failure(folder);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
      return fail(ErrorCode::kIo, "{}: another process is pulling it", name);
    // Who held the lock until now may have removed what we opened.
    if (!is_same_folder(lock.get(), folder)) continue;
    Staging resumed(folder, std::move(lock), /*keep=*/true);
    ATELIER_CHECK_OK(make_folders(resumed.files()));
    return resumed;
  }
}

Staging::~Staging() {
  std::error_code ignored;  // what stays is swept next time
  if (!folder_.empty() && !keep_) fs::remove_all(folder_, ignored);
}

Status make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return tl::unexpected<Error>(errno_error(folder, error.value()));
  return {};
}

Status check_free_space(const fs::path& folder, uint64_t needed_bytes) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0) return errno_failure(folder);
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  if (free_bytes >= kSpareBytes && free_bytes - kSpareBytes >= needed_bytes) return {};
  return fail(ErrorCode::kIo, "{}: not enough space: {} MB needed, {} MB free", folder.string(),
              (needed_bytes + kSpareBytes) / 1'000'000 + 1, free_bytes / 1'000'000);
}

Status place_file(const fs::path& from, const fs::path& to, const TransferHooks& hooks) {
  ATELIER_TRY(const OpenedFile source, open_regular(from));
  {
    const Descriptor copy(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (copy.get() < 0) return errno_failure(to);
    if (::ioctl(copy.get(), FICLONE, source.fd.get()) == 0) return {};
    if (::unlink(to.c_str()) != 0) return errno_failure(to);
  }
  // Through the open descriptor, so that a symbolic link gives its target and a rename in between changes
  // nothing.
  const std::string open_source = fmt::format("/proc/self/fd/{}", source.fd.get());
  if (::linkat(AT_FDCWD, open_source.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};

  ATELIER_CHECK_OK(check_free_space(to.parent_path(), source.size));
  const Descriptor copy(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (copy.get() < 0) return errno_failure(to);
  return copy_all(source.fd.get(), copy.get(), source.size, from, to, hooks);
}

}  // namespace atelier
