// Packed weights kept between runs: one file per checkpoint, in a folder of what can be computed again.
//
// Packing a large model takes seconds at every start. So the packed form is written once, beside the first
// run and only in time that nothing else wants, and mapped from then on. Weights that are used where the file
// has them (MXFP4, Q8_0) take no time at the start; who asks for it (`atelier pack`) gets a file of them all
// the same: packed weights cost the processor less, which pays where memory is fast.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>

#include "base/result.h"
#include "base/threads.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "models/packed_file.h"

namespace atelier {

class WeightCache {
 public:
  // Fewer bytes are packed in less than 0.3 s.
  static constexpr uint64_t kMinBytes = uint64_t{256} << 20;
  // Whether loading would pack that many; `model` is not packed yet.
  static bool saves_time(Model& model);
  // Whether a file of them may be kept at all.
  static bool is_large(Model& model);
  // What all files may have together; never more than half of what they and the free disk amount to.
  static constexpr uint64_t kMaxBytes = uint64_t{128} << 30;

  // `folder` need not exist. One that cannot be used is no error: nothing is kept then.
  explicit WeightCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // The file of a checkpoint, packed as `model` says. Errors: those of checkpoint_key().
  Result<std::filesystem::path> file_of(const Checkpoint& checkpoint, Model& model) const;

  // Lends the model's weights their panels, if the file is there and right; then it is the youngest. A file
  // of that name which is not right is removed.
  std::optional<PackedFile> find(const Checkpoint& checkpoint, Model& model) const;

  // Writes the file, giving up older ones where room is needed. Errors: kIo (also where it has no place),
  // kInterrupted.
  Status keep(const Checkpoint& checkpoint, Model& model, const PackedFileHooks& hooks) const;

  // Removes every file. Returns how many bytes that gave back.
  uint64_t clear() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path path_of(const Sha256& key, Model& model) const;
  std::filesystem::path folder_;
};

// keep() in the background: on a thread that runs only when nothing else wants the processor, ended and
// undone when this object goes. `model` must outlive it, and not be packed meanwhile.
class BackgroundKeeper {
 public:
  BackgroundKeeper(WeightCache cache, std::shared_ptr<const Checkpoint> checkpoint, Model& model);
  ~BackgroundKeeper();
  BackgroundKeeper(const BackgroundKeeper&) = delete;
  BackgroundKeeper& operator=(const BackgroundKeeper&) = delete;

  Status wait();  // until it is done; once

 private:
  std::stop_source stop_;
  std::future<Status> done_;
};

}  // namespace atelier
