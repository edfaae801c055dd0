// Files as untrusted input and as durable output.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace atelier {

// A regular file mapped read-only. FIFOs, devices and folders are refused without blocking.
// A view stays valid as long as the MappedFile lives, wherever it is moved to.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
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

// Writes beside `path`, fsyncs, renames over it and fsyncs the folder: either the old content or the new,
// never part.
Status write_file_atomically(const std::filesystem::path& path, std::string_view content);

// Makes earlier renames and unlinks in `folder` durable.
Status sync_folder(const std::filesystem::path& folder);

// "path: No such file or directory", from errno.
Error errno_error(const std::filesystem::path& path, int error_number);

}  // namespace atelier
