// Digests of files, for the model store and for what `pull` fetches, and SHA-256 of bytes in memory.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

// Called after every chunk with the bytes hashed so far; an error it returns ends the hashing and is passed
// on.
using HashObserver = std::function<Status(uint64_t done_bytes)>;

// Lower-case hexadecimal digits.
struct FileDigests {
  uint64_t bytes = 0;
  std::string sha256;    // 64 digits
  std::string git_sha1;  // 40 digits: git's name for the content, if it was asked for
};
struct DigestChoice {
  bool git_sha1 = false;
};

// Of a regular file's content, in one pass. Errors: kNotFound, kIo, and kInvalidArgument for what is not a
// regular file.
Result<FileDigests> file_digests(const std::filesystem::path& path, DigestChoice choice,
                                 const HashObserver& observe = {});
Result<std::string> sha256_file(const std::filesystem::path& path, const HashObserver& observe = {});

using Sha256 = std::array<uint8_t, 32>;
Sha256 sha256(std::string_view bytes);
std::string hex(const Sha256& digest);

}  // namespace atelier
