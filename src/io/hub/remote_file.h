// A file on somebody's server, and how it will be recognised.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "io/sha256.h"

namespace atelier {

struct RemoteFile {
  std::string name;  // a plain file name: what it will be called here
  std::string url;
  uint64_t bytes = 0;
  // What its content must hash to; at most one is known, and where none is, only its size is checked.
  std::string sha256;    // of the content
  std::string git_sha1;  // as git names it: of "blob SIZE", a zero byte and the content
  std::string etag;      // as its server gave it, to notice another file behind the same URL; may be empty

  bool has_digest() const { return !sha256.empty() || !git_sha1.empty(); }
  // Names its unfinished download: the same for the same content, a plain file name.
  std::string key() const;
};

// Compares the content of `path` with what is known of it and returns its SHA-256. Errors: kCorrupt, naming
// both sizes or digests; kIo; those of `observe`.
Result<std::string> verify_file(const std::filesystem::path& path, const RemoteFile& expected,
                                const HashObserver& observe);

}  // namespace atelier
