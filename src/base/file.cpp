#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace atelier {
namespace {

Status write_all(int fd, const std::filesystem::path& path, std::span<const std::byte> content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected<Error>(errno_error(path, errno));
    content = content.subspan(static_cast<size_t>(written));
  }
  return {};
}

// Direct writes have to be whole pages from page-aligned memory.
constexpr uint64_t kDirectBytes = 64 << 20;
constexpr size_t kDirectBlockBytes = 8 << 20;

bool set_direct(int fd, bool direct) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
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

Result<DraftFile> DraftFile::create(const std::filesystem::path& path, uint64_t expected_bytes) {
  DraftFile file;
  file.path_ = path;
  std::string draft = path.string() + ".XXXXXX";
  file.fd_ = Descriptor(::mkostemp(draft.data(), O_CLOEXEC));
  if (file.fd_.get() < 0) return tl::unexpected<Error>(errno_error(path, errno));
  file.draft_ = std::move(draft);
  // FALLOC_FL_KEEP_SIZE: the length still tells how much has been written.
  if (expected_bytes > 0 &&
      ::fallocate(file.fd_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(expected_bytes)) != 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS)
    return tl::unexpected<Error>(errno_error(path, errno));
  if (expected_bytes >= kDirectBytes && set_direct(file.fd_.get(), true))
    file.block_ = RawBuffer(kDirectBlockBytes);
  return file;
}

DraftFile::DraftFile(DraftFile&& other) noexcept
    : path_(std::move(other.path_)),
      draft_(std::exchange(other.draft_, {})),
      fd_(std::move(other.fd_)),
      block_(std::move(other.block_)),
      filled_(std::exchange(other.filled_, 0)) {}

DraftFile::~DraftFile() { discard(); }

void DraftFile::discard() {
  if (!draft_.empty()) ::unlink(draft_.c_str());
  draft_.clear();
}

Status DraftFile::write(std::span<const std::byte> bytes) {
  while (block_.size() > 0 && !bytes.empty()) {
    const size_t taken = std::min(bytes.size(), block_.size() - filled_);
    std::memcpy(block_.data() + filled_, bytes.data(), taken);
    filled_ += taken;
    bytes = bytes.subspan(taken);
    if (filled_ < block_.size()) return {};
    ATELIER_CHECK_OK(write_block({block_.data(), filled_}));
    filled_ = 0;
  }
  return write_all(fd_.get(), path_, bytes);
}

// Some file systems accept the flag and refuse the writes.
Status DraftFile::write_block(std::span<const std::byte> block) {
  const ssize_t written = ::write(fd_.get(), block.data(), block.size());
  if (written < 0 && errno != EINVAL && errno != EINTR)
    return tl::unexpected<Error>(errno_error(path_, errno));
  const auto done = static_cast<size_t>(std::max<ssize_t>(written, 0));
  if (done == block.size()) return {};
  if (!set_direct(fd_.get(), false)) return tl::unexpected<Error>(errno_error(path_, errno));
  ATELIER_CHECK_OK(write_all(fd_.get(), path_, block.subspan(done)));
  set_direct(fd_.get(), true);
  return {};
}

Status DraftFile::commit() {
  const auto failed = [&]() -> Status {
    const int error_number = errno;
    discard();
    return tl::unexpected<Error>(errno_error(path_, error_number));
  };
  // The rest is no whole number of pages.
  if (filled_ > 0) {
    if (!set_direct(fd_.get(), false)) return failed();
    if (Status written = write_all(fd_.get(), path_, {block_.data(), filled_}); !written) {
      discard();
      return written;
    }
    filled_ = 0;
  }
  if (::fchmod(fd_.get(), 0644) != 0 || ::fsync(fd_.get()) != 0) return failed();
  if (::rename(draft_.c_str(), path_.c_str()) != 0) return failed();
  draft_.clear();
  return sync_folder(path_.has_parent_path() ? path_.parent_path() : std::filesystem::path("."));
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  ATELIER_TRY(DraftFile file, DraftFile::create(path));
  ATELIER_CHECK_OK(file.write(content));
  return file.commit();
}

}  // namespace atelier
