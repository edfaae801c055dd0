// SHA-256 of files, for the model store and for what `pull` fetches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace atelier {

// Called after every chunk with the bytes hashed so far; an error it returns ends the hashing and is passed
// on.
using HashObserver = std::function<Status(uint64_t done_bytes)>;

// The digest of a regular file's content as 64 lower-case hexadecimal digits. Errors: kNotFound, kIo, and
// kInvalidArgument for what is not a regular file.
Result<std::string> sha256_file(const std::filesystem::path& path, const HashObserver& observe = {});

}  // namespace atelier
