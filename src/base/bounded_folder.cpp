#include "base/bounded_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

namespace atelier {

void bound_folder(const std::filesystem::path& folder, std::span<const std::string_view> extensions,
                  uint64_t max_bytes) {
  struct Aged {
    std::filesystem::file_time_type used;
    uint64_t bytes;
    std::filesystem::path path;
  };
  std::vector<Aged> files;
  uint64_t total = 0;
  std::error_code failed;
  const auto now = std::filesystem::file_time_type::clock::now();
  for (auto at = std::filesystem::recursive_directory_iterator(folder, failed);
       !failed && at != std::filesystem::recursive_directory_iterator(); at.increment(failed)) {
    std::error_code gone;
    if (!at->is_regular_file(gone)) continue;
    const Aged file{at->last_write_time(gone), at->file_size(gone), at->path()};
    if (gone) continue;
    const std::string extension = file.path.extension().string();
    const bool draft = std::ranges::find(extensions, std::string_view(extension)) == extensions.end();
    if (draft && now - file.used > std::chrono::hours(1)) std::filesystem::remove(file.path, gone);
    if (draft) continue;
    total += file.bytes;
    files.push_back(file);
  }
  std::ranges::sort(files, {}, &Aged::used);
  for (const Aged& file : files) {
    if (total <= max_bytes) return;
    std::error_code gone;
    if (std::filesystem::remove(file.path, gone)) total -= file.bytes;
  }
}

bool touch_file(const std::filesystem::path& path) {
  return ::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace atelier
