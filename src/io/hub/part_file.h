// A file while it is being downloaded: its bytes, in any order, and a map of which are there, both on disk,
// so that an interrupted or killed download goes on where it stopped.
//
//   KEY.part   the bytes, at their places
//   KEY.map    which of them: a header that names the file's size and the boot it was written in, then 32
//   bits
//              for each chunk: the bytes received, from the chunk's begin on, and whether they are on disk
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "io/hub/http.h"

namespace atelier {

class PartFile {
 public:
  static constexpr uint64_t kChunkBytes = uint64_t{16} << 20;  // asked for in one request
  // Progress inside a chunk is recorded this often: what a killed download fetches again, per connection.
  static constexpr uint64_t kRecordBytes = uint64_t{1} << 20;

  // Opens what an earlier download of `bytes` bytes left under `key` in `folder`, or begins anew; sets the
  // disk space aside where the file system can. A map that does not fit is no map. Errors: kIo.
  static Result<PartFile> open(const std::filesystem::path& folder, const std::string& key, uint64_t bytes);

  const std::filesystem::path& path() const { return part_path_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t done_bytes() const { return done_bytes_; }
  bool complete() const { return done_bytes_ == bytes_; }
  // Whether some bytes were there when it was opened.
  bool resumed() const { return resumed_; }

  // The rest of a chunk nobody works on; nothing where there is none.
  struct Claim {
    size_t chunk = 0;
    ByteRange range;
  };
  std::optional<Claim> claim();
  bool chunk_complete(size_t chunk) const { return chunks_[chunk].done == chunk_size(chunk); }
  // Gives a chunk back, whole or not.
  void release(size_t chunk);
  // The next bytes of a claimed chunk. Errors: kIo; kCorrupt past the chunk's end.
  Status append(size_t chunk, std::span<const std::byte> data);
  // For one who sends the whole file from its begin: all chunks become one claim, what was there is
  // forgotten. `data` may then be of any length up to bytes().
  Status restart_as_stream();

  // Everything on disk. Call when complete.
  Status sync();
  // Removes both files; also what a crash left without the other.
  static void remove(const std::filesystem::path& folder, const std::string& key);

 private:
  struct Chunk {
    uint64_t done = 0;
    uint64_t recorded = 0;
    bool claimed = false;
  };

  PartFile() = default;
  Status open_files(const std::string& key, const std::filesystem::path& folder);
  bool read_map();
  Status write_new_map();
  Status record(size_t chunk, bool on_disk);
  uint64_t chunk_begin(size_t chunk) const { return chunk * chunk_bytes_; }
  uint64_t chunk_size(size_t chunk) const;

  std::filesystem::path part_path_, map_path_;
  Descriptor part_, map_;
  uint64_t bytes_ = 0;
  uint64_t chunk_bytes_ = kChunkBytes;  // bytes_ as a stream
  uint64_t done_bytes_ = 0;
  bool resumed_ = false;
  bool streamed_ = false;  // progress is not recorded: it could not be resumed
  std::vector<Chunk> chunks_;
};

}  // namespace atelier
