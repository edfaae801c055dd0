// Files as untrusted input and as durable output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/map_guard.h"
#include "base/result.h"

namespace atelier {

// A regular file mapped read-only. FIFOs, devices and folders are refused without blocking.
// A view stays valid as long as the MappedFile lives, wherever it is moved to.
//
// The file may be truncated, overwritten or removed meanwhile. That never kills the process
// (base/map_guard.h), but the bytes may become zeros or others than those that were checked: code that reads
// them checks every length each time it reads one, and whoever answers with them calls check() or healthy()
// before trusting the result.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // False once a page could not be read: everything reads as zero since. One load; may be asked after each
  // step.
  bool healthy() const { return !guard_.faulted(); }
  // kIo where not healthy, or where the file has another size or time of modification than when it was
  // opened, or no name any more. One system call.
  Status check() const;

  // Asks the kernel to read `part` of bytes() ahead.
  void prefetch(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
  Descriptor fd_;
  MapGuard guard_;
  std::filesystem::path path_;
};

// A regular file opened for reading, for those who read in pieces: unlike a mapping, a read survives the file
// being truncated meanwhile. FIFOs, devices and folders are refused without blocking.
struct OpenedFile {
  Descriptor fd;
  size_t size = 0;
};
Result<OpenedFile> open_regular(const std::filesystem::path& path);

// The whole content of a regular file of at most `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes);

// A file under construction, beside its future place under a name of its own: it gets its name when it is
// complete and on disk, or it vanishes.
class DraftFile {
 public:
  // `expected_bytes` are set aside at once where the file system can, so that a full disk is an error here.
  // Files of 64 MiB or more go past the page cache where the file system can: copying into it costs more than
  // a disk takes, and would push out what others read.
  static Result<DraftFile> create(const std::filesystem::path& path, uint64_t expected_bytes = 0);
  DraftFile(DraftFile&& other) noexcept;
  DraftFile& operator=(DraftFile&&) = delete;
  ~DraftFile();

  Status write(std::span<const std::byte> bytes);  // appends
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  // fsync, rename over `path`, fsync of the folder. The draft is gone afterwards, whatever happens.
  Status commit();

 private:
  DraftFile() = default;
  void discard();
  Status write_block(std::span<const std::byte> block);
  std::filesystem::path path_;
  std::string draft_;  // empty once committed or discarded
  Descriptor fd_;
  RawBuffer block_;    // what is gathered for the next write past the page cache; empty otherwise
  size_t filled_ = 0;  // bytes of it
};

// Writes beside `path`, fsyncs, renames over it and fsyncs the folder: either the old content or the new,
// never part.
Status write_file_atomically(const std::filesystem::path& path, std::string_view content);

// Makes earlier renames and unlinks in `folder` durable.
Status sync_folder(const std::filesystem::path& folder);

// "path: No such file or directory", from errno.
Error errno_error(const std::filesystem::path& path, int error_number);

}  // namespace atelier
