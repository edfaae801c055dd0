#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/checked.h"
#include "base/file.h"

namespace atelier {
namespace {

int64_t modified_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

constexpr size_t kHugePagesFrom = size_t{64} << 20;

size_t page_bytes() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  ATELIER_TRY(OpenedFile file, open_regular(path));
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = file.size;
  mapped.fd_ = std::move(file.fd);
  struct stat info{};
  if (::fstat(mapped.fd_.get(), &info) != 0) return tl::unexpected<Error>(errno_error(path, errno));
  mapped.modified_ns_ = modified_ns(info);
  if (file.size > 0) {
    void* data = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, mapped.fd_.get(), 0);
    if (data == MAP_FAILED) return tl::unexpected<Error>(errno_error(path, errno));
    // Where the file system can, what is read from the disk from now on is cached in pages of 2 MiB: streams
    // of weights then run up to 40 % faster. A hint: failure costs nothing.
    if (file.size >= kHugePagesFrom) ::madvise(data, file.size, MADV_HUGEPAGE);
    mapped.data_ = static_cast<const std::byte*>(data);
    mapped.guard_ = MapGuard({mapped.data_, round_up(file.size, page_bytes())});
    if (!mapped.guard_.active())
      return fail(ErrorCode::kLimit, "{}: expected at most {} files mapped at once, found more",
                  path.string(), MapGuard::kMaxMappings);
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      modified_ns_(other.modified_ns_),
      fd_(std::move(other.fd_)),
      guard_(std::move(other.guard_)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  std::swap(fd_, other.fd_);
  std::swap(guard_, other.guard_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  guard_ = MapGuard();  // before the addresses may belong to somebody else
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Status MappedFile::check() const {
  if (!healthy())
    return fail(ErrorCode::kIo,
                "{}: expected {} readable bytes, found it truncated or its disk failing while in use",
                path_.string(), size_);
  if (fd_.get() < 0) return {};
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return tl::unexpected<Error>(errno_error(path_, errno));
  if (static_cast<size_t>(info.st_size) != size_)
    return fail(ErrorCode::kIo, "{}: expected {} bytes, found {}: changed while in use", path_.string(),
                size_, info.st_size);
  if (modified_ns(info) != modified_ns_)
    return fail(ErrorCode::kIo, "{}: expected the file that was opened, found it written to while in use",
                path_.string());
  if (info.st_nlink == 0)
    return fail(ErrorCode::kIo,
                "{}: expected the file that was opened, found it removed or replaced while in use",
                path_.string());
  return {};
}

void MappedFile::prefetch(std::span<const std::byte> part) const {
  if (part.empty() || part.data() < data_ || part.data() >= data_ + size_) return;
  const size_t page = page_bytes();
  const size_t begin = static_cast<size_t>(part.data() - data_) / page * page;
  const size_t end = static_cast<size_t>(part.data() - data_) + part.size();
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin,
            MADV_WILLNEED);  // a hint: failure costs nothing
}

}  // namespace atelier
