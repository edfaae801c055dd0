#include "io/hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/checked.h"
#include "base/file.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t kOnDisk = 0x8000'0000;  // in a chunk's entry: its bytes were synced
static_assert(PartFile::kChunkBytes < kOnDisk);

// In the byte order of this machine: the map never leaves it.
struct MapHeader {
  std::array<char, 8> magic{'a', 't', 'l', 'p', 'a', 'r', 't', '1'};
  uint64_t bytes = 0;
  uint64_t chunk_bytes = PartFile::kChunkBytes;
  std::array<char, 40> boot{};  // /proc/sys/kernel/random/boot_id
  bool operator==(const MapHeader&) const = default;
};

tl::unexpected<Error> failed_on(const fs::path& path) {
  return tl::unexpected<Error>(errno_error(path, errno));
}

Status write_at(int fd, const fs::path& path, std::span<const std::byte> data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed_on(path);
    data = data.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return {};
}

bool read_at(int fd, std::span<std::byte> data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t got = ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data = data.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return true;
}

Result<Descriptor> open_for_writing(const fs::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  struct stat info{};
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0) return failed_on(path);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kIo, "{}: expected a regular file, found something else", path.string());
  return fd;
}

MapHeader header_for(uint64_t bytes) {
  MapHeader header;
  header.bytes = bytes;
  const Descriptor boot(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (boot.get() >= 0 && ::read(boot.get(), header.boot.data(), header.boot.size()) < 0) header.boot = {};
  return header;
}

}  // namespace

uint64_t PartFile::chunk_size(size_t chunk) const {
  return std::min(chunk_bytes_, bytes_ - chunk_begin(chunk));
}

Result<PartFile> PartFile::open(const fs::path& folder, const std::string& key, uint64_t bytes) {
  PartFile file;
  file.bytes_ = bytes;
  file.chunks_.resize(ceil_div(bytes, kChunkBytes));
  ATELIER_CHECK_OK(file.open_files(key, folder));
  if (!file.read_map()) {
    file.chunks_.assign(file.chunks_.size(), {});
    ATELIER_CHECK_OK(file.write_new_map());
  }
  for (const Chunk& chunk : file.chunks_) file.done_bytes_ += chunk.done;
  file.resumed_ = file.done_bytes_ > 0;
  return file;
}

Status PartFile::open_files(const std::string& key, const fs::path& folder) {
  part_path_ = folder / (key + ".part");
  map_path_ = folder / (key + ".map");
  ATELIER_TRY(part_, open_for_writing(part_path_));
  ATELIER_TRY(map_, open_for_writing(map_path_));
  // A full disk is to be an error now, not after hours.
  if (bytes_ > 0 && ::fallocate(part_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes_)) != 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS)
    return failed_on(part_path_);
  return {};
}

// After a crash of the machine only what was synced is known to be there.
bool PartFile::read_map() {
  const MapHeader expected = header_for(bytes_);
  MapHeader header;
  if (!read_at(map_.get(), std::as_writable_bytes(std::span(&header, 1)), 0)) return false;
  const bool same_boot = header.boot == expected.boot;
  header.boot = expected.boot;
  if (header != expected) return false;
  struct stat info{};
  if (::fstat(part_.get(), &info) != 0) return false;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    uint32_t entry = 0;
    if (!read_at(map_.get(), std::as_writable_bytes(std::span(&entry, 1)), sizeof header + i * sizeof entry))
      return false;
    const bool on_disk = (entry & kOnDisk) != 0;
    const uint64_t done = entry & ~kOnDisk;
    if (done > chunk_size(i)) return false;
    if (done > 0 && chunk_begin(i) + done > static_cast<uint64_t>(info.st_size)) return false;
    if (same_boot || on_disk) chunks_[i] = {done, done, false};
  }
  return same_boot || write_new_map().has_value();
}

Status PartFile::write_new_map() {
  if (::ftruncate(map_.get(), 0) != 0) return failed_on(map_path_);
  const MapHeader header = header_for(bytes_);
  std::vector<uint32_t> entries;
  for (const Chunk& chunk : chunks_) entries.push_back(static_cast<uint32_t>(chunk.done) | kOnDisk);
  ATELIER_CHECK_OK(write_at(map_.get(), map_path_, std::as_bytes(std::span(entries)), sizeof header));
  return write_at(map_.get(), map_path_, std::as_bytes(std::span(&header, 1)), 0);
}

Status PartFile::record(size_t chunk, bool on_disk) {
  Chunk& c = chunks_[chunk];
  const uint32_t entry = static_cast<uint32_t>(c.done) | (on_disk ? kOnDisk : 0);
  c.recorded = c.done;
  return write_at(map_.get(), map_path_, std::as_bytes(std::span(&entry, 1)),
                  sizeof(MapHeader) + chunk * sizeof entry);
}

std::optional<PartFile::Claim> PartFile::claim() {
  for (size_t i = 0; i < chunks_.size(); ++i) {
    Chunk& chunk = chunks_[i];
    if (chunk.claimed || chunk_complete(i)) continue;
    chunk.claimed = true;
    return Claim{i, {chunk_begin(i) + chunk.done, chunk_begin(i) + chunk_size(i) - 1}};
  }
  return std::nullopt;
}

void PartFile::release(size_t chunk) { chunks_[chunk].claimed = false; }

Status PartFile::append(size_t chunk, std::span<const std::byte> data) {
  Chunk& c = chunks_[chunk];
  if (data.size() > chunk_size(chunk) - c.done)
    return fail(ErrorCode::kCorrupt, "expected {} bytes from the server, found more", chunk_size(chunk));
  ATELIER_CHECK_OK(write_at(part_.get(), part_path_, data, chunk_begin(chunk) + c.done));
  c.done += data.size();
  done_bytes_ += data.size();
  if (streamed_) return {};
  if (chunk_complete(chunk)) {
    if (::fdatasync(part_.get()) != 0) return failed_on(part_path_);
    return record(chunk, /*on_disk=*/true);
  }
  return c.done - c.recorded >= kRecordBytes ? record(chunk, /*on_disk=*/false) : Status();
}

Status PartFile::restart_as_stream() {
  chunks_.assign(bytes_ > 0 ? 1 : 0, {});
  chunk_bytes_ = std::max<uint64_t>(bytes_, 1);
  done_bytes_ = 0;
  streamed_ = true;
  // An empty map: what comes is of no use to a later download.
  if (::ftruncate(map_.get(), 0) != 0) return failed_on(map_path_);
  return {};
}

Status PartFile::sync() {
  if (::fsync(part_.get()) != 0) return failed_on(part_path_);
  return {};
}

void PartFile::remove(const fs::path& folder, const std::string& key) {
  std::error_code ignored;
  fs::remove(folder / (key + ".part"), ignored);
  fs::remove(folder / (key + ".map"), ignored);
}

}  // namespace atelier
