// A model's packed weights in one file that is mapped: what packing costs is paid once.
//
//   file:  head, then at multiples of 4096 bytes the panels of each weight (kernels/cpu/matmul/packed.h)
//   head:  magic, kPackingVersion, number of weights, size of the file, key of the checkpoint; for each
//   weight
//          its format, layout, rows, columns and the place of its panels
//
// The head follows from the checkpoint alone, so that a file is taken if it has the very head it should have,
// and the size. Numbers are little-endian, as everywhere on the machines that run this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "io/checkpoint.h"
#include "io/sha256.h"
#include "ops/weight.h"

namespace atelier {

// Stands for what a checkpoint's files hold: their sizes and times of change, the table of tensors, and bytes
// sampled from some. (Digests of all bytes would take longer than packing them.) kIo where a file cannot be
// asked about.
Result<Sha256> checkpoint_key(const Checkpoint& checkpoint);

class PackedFile {
 public:
  // Maps `path` and gives every weight its panels. `weights` as in Model::multiplied_weights(), none of them
  // packed; they use the file as long as they live. Errors: kNotFound, kIo; kCorrupt where the file is of
  // another checkpoint, or of another version of this program, or not whole. On an error no weight has
  // changed.
  static Result<PackedFile> open(const std::filesystem::path& path, const Sha256& key,
                                 std::span<Weight* const> weights);

  // False once part of it could not be read: panels are zeros since. A file that has lost its name stays
  // good.
  bool healthy() const { return file_.healthy(); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
};

// Size of the file that holds `weights`.
uint64_t packed_file_bytes(std::span<Weight* const> weights);

struct PackedFileHooks {
  ThreadPool* pool = nullptr;       // panels are packed in parallel on it; null: by the caller alone
  std::function<bool()> cancelled;  // asked every few megabytes; may be empty
};
// Writes the file: whole and on disk, or not at all. Weights may be packed or not. Errors: kIo, kInterrupted.
Status write_packed_file(const std::filesystem::path& path, const Sha256& key,
                         std::span<Weight* const> weights, const PackedFileHooks& hooks);

}  // namespace atelier
