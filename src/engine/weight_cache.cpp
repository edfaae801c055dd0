#include "engine/weight_cache.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/bounded_folder.h"

namespace atelier {
namespace {

constexpr std::array<std::string_view, 1> kExtensions = {".panels"};

uint64_t bytes_of(const std::filesystem::path& folder) {
  uint64_t total = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    std::error_code gone;
    const uint64_t bytes = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) total += bytes;
  }
  return total;
}

// Lets every other thread go first.
void run_when_idle() {
  const sched_param none{};
  (void)::sched_setscheduler(0, SCHED_IDLE, &none);  // where that is refused it competes with the others
}

}  // namespace

bool WeightCache::saves_time(Model& model) {
  uint64_t bytes = 0;
  for (const Weight* weight : model.multiplied_weights()) bytes += weight->packed_bytes();
  return bytes >= kMinBytes;
}

bool WeightCache::is_large(Model& model) {
  return packed_file_bytes(model.multiplied_weights()) >= kMinBytes;
}

std::filesystem::path WeightCache::path_of(const Sha256& key, Model& model) const {
  // The same checkpoint packed otherwise (--dense q8) has another size.
  const uint64_t bytes = packed_file_bytes(model.multiplied_weights());
  return folder_ / fmt::format("{}-{}{}", hex(key).substr(0, 32), bytes, kExtensions[0]);
}

Result<std::filesystem::path> WeightCache::file_of(const Checkpoint& checkpoint, Model& model) const {
  ATELIER_TRY(const Sha256 key, checkpoint_key(checkpoint));
  return path_of(key, model);
}

std::optional<PackedFile> WeightCache::find(const Checkpoint& checkpoint, Model& model) const {
  const Result<Sha256> key = checkpoint_key(checkpoint);
  if (!key) return std::nullopt;
  const std::filesystem::path path = path_of(*key, model);
  Result<PackedFile> file = PackedFile::open(path, *key, model.multiplied_weights());
  if (file) {
    touch_file(path);
    return std::move(*file);
  }
  std::error_code failed;
  if (file.error().code == ErrorCode::kCorrupt) std::filesystem::remove(path, failed);
  return std::nullopt;
}

Status WeightCache::keep(const Checkpoint& checkpoint, Model& model, const PackedFileHooks& hooks) const {
  ATELIER_TRY(const Sha256 key, checkpoint_key(checkpoint));
  const std::filesystem::path path = path_of(key, model);
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  const std::vector<Weight*> weights = model.multiplied_weights();
  const uint64_t bytes = packed_file_bytes(weights);
  const std::filesystem::space_info space = std::filesystem::space(folder_, failed);
  if (failed)
    return fail(ErrorCode::kIo, "{}: expected a folder for packed weights, found {}", folder_.string(),
                failed.message());
  const uint64_t limit = std::min(kMaxBytes, (space.available + bytes_of(folder_)) / 2);
  if (bytes > limit)
    return fail(ErrorCode::kIo, "{}: expected room for {} MB of packed weights, found {} MB",
                folder_.string(), bytes / 1'000'000 + 1, limit / 1'000'000);
  bound_folder(folder_, kExtensions, limit - bytes);
  return write_packed_file(path, key, weights, hooks);
}

uint64_t WeightCache::clear() const {
  const uint64_t before = bytes_of(folder_);
  bound_folder(folder_, kExtensions, 0);
  return before - std::min(before, bytes_of(folder_));
}

BackgroundKeeper::BackgroundKeeper(WeightCache cache, std::shared_ptr<const Checkpoint> checkpoint,
                                   Model& model) {
  done_ = std::async(std::launch::async, [stop = stop_.get_token(), cache = std::move(cache),
                                          checkpoint = std::move(checkpoint), &model] {
    run_when_idle();
    return cache.keep(*checkpoint, model, {.cancelled = [&] { return stop.stop_requested(); }});
  });
}

BackgroundKeeper::~BackgroundKeeper() {
  stop_.request_stop();
  if (done_.valid()) done_.wait();
}

Status BackgroundKeeper::wait() { return done_.get(); }

}  // namespace atelier
