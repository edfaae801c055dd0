#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace atelier {
namespace {

Status write_all(int fd, const std::filesystem::path& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected<Error>(errno_error(path, errno));
    content.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

Error errno_error(const std::filesystem::path& path, int error_number) {
  const ErrorCode code =
      error_number == ENOENT || error_number == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
  return Error{code, fmt::format("{}: {}", path.string(), std::generic_category().message(error_number))};
}

// O_NONBLOCK: opening a FIFO without a writer must not wait.
Result<OpenedFile> open_regular(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) return tl::unexpected<Error>(errno_error(path, errno));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return tl::unexpected<Error>(errno_error(path, errno));
  if (S_ISDIR(info.st_mode))
    return fail(ErrorCode::kInvalidArgument, "{}: expected a file, found a folder", path.string());
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kInvalidArgument, "{}: expected a regular file, found a device, FIFO or socket",
                path.string());
  return OpenedFile{std::move(fd), static_cast<size_t>(info.st_size)};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  ATELIER_TRY(OpenedFile file, open_regular(path));
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = file.size;
  if (file.size > 0) {
    void* data = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd.get(), 0);
    if (data == MAP_FAILED) return tl::unexpected<Error>(errno_error(path, errno));
    mapped.data_ = static_cast<const std::byte*>(data);
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes) {
  ATELIER_TRY(OpenedFile file, open_regular(path));
  if (file.size > max_bytes)
    return fail(ErrorCode::kLimit, "{}: expected at most {} bytes, found {}", path.string(), max_bytes,
                file.size);
  std::string content(file.size, '\0');
  size_t have = 0;
  while (have < content.size()) {
    const ssize_t got = ::read(file.fd.get(), content.data() + have, content.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected<Error>(errno_error(path, errno));
    if (got == 0) break;  // shrank while we read: what is there is what we return
    have += static_cast<size_t>(got);
  }
  content.resize(have);
  return content;
}

Status sync_folder(const std::filesystem::path& folder) {
  Descriptor fd(::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return tl::unexpected<Error>(errno_error(folder, errno));
  return {};
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::string draft = path.string() + ".XXXXXX";
  {
    Descriptor fd(::mkostemp(draft.data(), O_CLOEXEC));
    if (fd.get() < 0) return tl::unexpected<Error>(errno_error(path, errno));
    Status done = write_all(fd.get(), path, content);
    if (done && (::fchmod(fd.get(), 0644) != 0 || ::fsync(fd.get()) != 0))
      done = tl::unexpected<Error>(errno_error(path, errno));
    if (!done) {
      ::unlink(draft.c_str());
      return done;
    }
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(draft.c_str());
    return tl::unexpected<Error>(errno_error(path, error_number));
  }
  return sync_folder(folder);
}

}  // namespace atelier
