#include "io/store.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/model_names.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

Result<fs::path> home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return fs::path(home);
  if (const passwd* user = ::getpwuid(::getuid()); user != nullptr && user->pw_dir != nullptr)
    return fs::path(user->pw_dir);
  return fail(ErrorCode::kNotFound, "no home folder: set HOME or XDG_DATA_HOME");
}

// The XDG base directory specification has relative values ignored.
Result<fs::path> xdg_folder(const char* variable, const char* below_home) {
  if (const char* value = std::getenv(variable); value != nullptr && *value == '/') return fs::path(value);
  ATELIER_TRY(const fs::path home, home_folder());
  return home / below_home;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, size};
}

uint64_t disk_bytes_below(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto item = fs::recursive_directory_iterator(folder, error);
       !error && item != fs::recursive_directory_iterator(); item.increment(error)) {
    struct stat info{};
    if (::lstat(item->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

// Names below `folder` that the store may have given, sorted; none where there is no such folder.
Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& item : fs::directory_iterator(folder, error))
    if (is_store_name(item.path().filename().string())) entries.push_back(item.path());
  if (error && error != std::errc::no_such_file_or_directory)
    return tl::unexpected<Error>(errno_error(folder, error.value()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

tl::unexpected<Error> name_taken(std::string_view name) {
  return fail(ErrorCode::kInvalidArgument,
              "{}: the store has another model of this name (remove it with `atelier rm {}`)", name, name);
}

// A file that was linked or copied may still be in memory only.
Status sync_file(const fs::path& path) {
  ATELIER_TRY(const OpenedFile file, open_regular(path));
  if (::fsync(file.fd.get()) != 0) return tl::unexpected<Error>(errno_error(path, errno));
  return {};
}

}  // namespace

Result<Store> Store::open() {
  ATELIER_TRY(const fs::path data, xdg_folder("XDG_DATA_HOME", ".local/share"));
  ATELIER_TRY(const fs::path config, xdg_folder("XDG_CONFIG_HOME", ".config"));
  return Store(data / "atelier", config / "atelier" / "config.json");
}

Result<StoreListing> Store::list() const {
  StoreListing listing;
  ATELIER_TRY(const std::vector<fs::path> entries, entries_of(models()));
  for (const fs::path& entry : entries) {
    auto model = read_manifest(entry);
    if (model)
      listing.models.push_back(std::move(*model));
    else
      listing.damaged.push_back(std::move(model).error());
  }
  ATELIER_TRY(const std::vector<fs::path> downloads, entries_of(root_ / "downloads"));
  for (const fs::path& download : downloads)
    if (const uint64_t bytes = disk_bytes_below(download); bytes > 0)
      listing.unfinished.push_back({download.filename().string(), bytes});
  return listing;
}

Result<StoredModel> Store::find(std::string_view name) const {
  ATELIER_CHECK_OK(check_store_name(name));
  return read_manifest(models() / name);
}

Result<StoredModel> Store::publish(const Staging& staging, StoredModel model, IfTaken if_taken) const {
  ATELIER_CHECK_OK(check_store_name(model.name));
  {
    auto checkpoint = Checkpoint::open(weights_path(staging.files(), model.files));
    if (!checkpoint) return tl::unexpected<Error>(std::move(checkpoint).error());
    model.architecture = checkpoint->architecture();
  }
  model.added = utc_now();
  for (const StoredFile& file : model.files) ATELIER_CHECK_OK(sync_file(staging.files() / file.name));
  ATELIER_CHECK_OK(sync_folder(staging.files()));
  ATELIER_CHECK_OK(write_manifest(staging.entry(), model));
  ATELIER_CHECK_OK(make_folders(models()));

  const fs::path final_entry = models() / model.name;
  const auto rename_to_final = [&](unsigned int flags) {
    return ::renameat2(AT_FDCWD, staging.entry().c_str(), AT_FDCWD, final_entry.c_str(), flags) == 0;
  };
  if (!rename_to_final(RENAME_NOREPLACE)) {
    if (errno != EEXIST) return tl::unexpected<Error>(errno_error(final_entry, errno));
    auto present = read_manifest(final_entry);
    if (present && present->files == model.files) return present;
    if (present && if_taken == IfTaken::kRefuse) return name_taken(model.name);
    // The staging folder takes away what was there.
    if (!rename_to_final(RENAME_EXCHANGE)) return tl::unexpected<Error>(errno_error(final_entry, errno));
  }
  ATELIER_CHECK_OK(sync_folder(models()));
  return read_manifest(final_entry);
}

Status Store::remove(std::string_view name) const {
  ATELIER_CHECK_OK(check_store_name(name));
  const fs::path entry = models() / name;
  std::error_code error;
  const bool unfinished = fs::exists(root_ / "downloads" / name, error);
  if (unfinished) {
    ATELIER_TRY(Staging download, Staging::resume(root_, name));
    download.discard();
  }
  if (!fs::exists(fs::symlink_status(entry, error))) {
    if (unfinished) return {};
    return fail(ErrorCode::kNotFound, "{}: not in the model store", name);
  }
  ATELIER_TRY(const Staging staging, Staging::create(root_));
  if (::rename(entry.c_str(), (staging.folder() / "removed").c_str()) != 0)
    return tl::unexpected<Error>(errno_error(entry, errno));
  return sync_folder(models());
}

void Store::forget_download(std::string_view name) const {
  std::error_code error;
  if (!is_store_name(name) || !fs::exists(root_ / "downloads" / name, error)) return;
  if (auto download = Staging::resume(root_, name)) download->discard();
}

Result<fs::path> Store::resolve(std::string_view model) const {
  if (is_store_name(model)) {
    auto stored = find(model);
    if (stored) return stored->path;
    if (stored.error().code != ErrorCode::kNotFound) return tl::unexpected<Error>(std::move(stored).error());
  }
  const fs::path path(model);
  std::error_code error;
  if (!model.empty() && fs::exists(path, error)) return path;
  return fail(ErrorCode::kNotFound, "{}: no such model in the store, file or folder (see `atelier list`)",
              model);
}

Result<std::string> Store::default_model() const {
  const auto content = read_file(config_file_, kMaxConfigBytes);
  if (!content && content.error().code != ErrorCode::kNotFound) return tl::unexpected<Error>(content.error());
  if (content) {
    const auto config = nlohmann::json::parse(*content, nullptr, /*allow_exceptions=*/false);
    if (!config.is_object())
      return fail(ErrorCode::kCorrupt, "{}: expected a JSON object", config_file_.string());
    if (const auto chosen = config.find("default_model"); chosen != config.end()) {
      if (!chosen->is_string())
        return fail(ErrorCode::kCorrupt, "{}: default_model: expected a string, found {}",
                    config_file_.string(), chosen->type_name());
      return chosen->get<std::string>();
    }
  }
  ATELIER_TRY(const StoreListing listing, list());
  if (listing.models.size() == 1 && listing.damaged.empty()) return listing.models.front().name;
  return std::string(kStarterName);
}

}  // namespace atelier
