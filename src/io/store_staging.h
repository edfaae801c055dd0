// Where a model is put together before it gets its name.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace atelier {

// What a long operation tells its caller, and how the caller stops it. Both may be empty.
struct TransferHooks {
  // `phase` is one of "listing", "fetching", "unpacking", "copying", "verifying"; bytes of `total_bytes`.
  std::function<void(std::string_view phase, uint64_t done_bytes, uint64_t total_bytes)> progress;
  // Asked several times a second; true ends the operation with kInterrupted. Nothing is left behind but what
  // a download can go on from.
  std::function<bool()> cancelled;

  void report(std::string_view phase, uint64_t done_bytes, uint64_t total_bytes) const {
    if (progress) progress(phase, done_bytes, total_bytes);
  }
  Status check(std::string_view what) const {
    if (cancelled && cancelled()) return fail(ErrorCode::kInterrupted, "{}: interrupted", what);
    return {};
  }
};

// A scratch folder below ROOT/staging, held by a lock and removed with everything in it when this object
// goes. What a killed process left is recognised by its lock being free and removed when the next one is
// made. Or, for what goes on later, a folder below ROOT/downloads that stays until it is discarded.
class Staging {
 public:
  static Result<Staging> create(const std::filesystem::path& store_root);
  // ROOT/downloads/NAME, new or as an earlier process left it. Errors: kIo, also where another process holds
  // it.
  static Result<Staging> resume(const std::filesystem::path& store_root, std::string_view name);
  Staging(Staging&& other) noexcept = default;
  Staging& operator=(Staging&&) = delete;
  ~Staging();

  // Removes a resumed folder when this object goes.
  void discard() { keep_ = false; }

  const std::filesystem::path& folder() const { return folder_; }
  // folder()/model, the future store entry; its files go to entry()/files. Both exist.
  std::filesystem::path entry() const { return folder_ / "model"; }
  std::filesystem::path files() const { return entry() / "files"; }

 private:
  Staging(std::filesystem::path folder, Descriptor lock, bool keep)
      : folder_(std::move(folder)), lock_(std::move(lock)), keep_(keep) {}
  std::filesystem::path folder_;  // empty once moved from
  Descriptor lock_;
  bool keep_ = false;
};

// fs::create_directories with the path in the error.
Status make_folders(const std::filesystem::path& folder);

// kIo, naming both figures, unless the file system of `folder` has room for `needed_bytes` and 16 MiB more.
Status check_free_space(const std::filesystem::path& folder, uint64_t needed_bytes);

// Makes `to` a file with the content of the regular file `from`: shares its blocks where the file system can
// (reflink), else links it (hard link), else copies it, after checking for free space.
Status place_file(const std::filesystem::path& from, const std::filesystem::path& to,
                  const TransferHooks& hooks);

}  // namespace atelier
