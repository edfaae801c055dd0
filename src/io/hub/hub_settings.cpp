#include "io/hub/hub_settings.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxTokenBytes = 4096;
constexpr size_t kMaxRefBytes = 256;
constexpr size_t kMaxCachedFiles = 10'000;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_set(const char* name) {
  std::string value = variable(name);
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string without_space(std::string text) {
  std::erase_if(text, [](unsigned char c) { return c <= 0x20; });
  return text;
}

fs::path hub_home() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return home;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface";
  if (const std::string home = variable("HOME"); !home.empty())
    return fs::path(home) / ".cache" / "huggingface";
  return {};
}

std::string saved_token(const fs::path& home) {
  fs::path path = variable("HF_TOKEN_PATH");
  if (path.empty() && !home.empty()) path = home / "token";
  return path.empty() ? std::string() : without_space(read_file(path, kMaxTokenBytes).value_or(""));
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

HubSettings HubSettings::from_environment() {
  HubSettings settings;
  if (const std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) settings.endpoint = endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  const fs::path home = hub_home();
  settings.cache = variable("HF_HUB_CACHE");
  if (settings.cache.empty() && !home.empty()) settings.cache = home / "hub";
  settings.token = without_space(variable("HF_TOKEN"));
  if (settings.token.empty() && !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) settings.token = saved_token(home);
  settings.offline = is_set("HF_HUB_OFFLINE");
  return settings;
}

HubCache::HubCache(const fs::path& cache, std::string_view repo_id) {
  if (cache.empty()) return;
  std::string name(repo_id);
  name.replace(name.find('/'), 1, "--");
  folder_ = cache / ("models--" + name);
}

std::optional<RepoListing> HubCache::listing(std::string_view revision) const {
  if (folder_.empty()) return std::nullopt;
  RepoListing listing;
  listing.commit = revision;
  if (!is_hex(revision, 40))
    listing.commit = without_space(read_file(folder_ / "refs" / revision, kMaxRefBytes).value_or(""));
  if (!is_hex(listing.commit, 40)) return std::nullopt;
  const fs::path snapshot = folder_ / "snapshots" / listing.commit;
  std::error_code error;
  for (auto item = fs::recursive_directory_iterator(snapshot, error);
       !error && item != fs::recursive_directory_iterator(); item.increment(error)) {
    std::error_code unreadable;
    if (!fs::is_regular_file(item->path(), unreadable)) continue;
    RepoFile file{.path = item->path().lexically_relative(snapshot).generic_string()};
    file.bytes = fs::file_size(item->path(), unreadable);
    if (unreadable) continue;
    const std::string blob = fs::read_symlink(item->path(), unreadable).filename().string();
    if (is_hex(blob, 64)) file.sha256 = blob;
    if (is_hex(blob, 40)) file.git_sha1 = blob;
    listing.files.push_back(std::move(file));
    if (listing.files.size() > kMaxCachedFiles) return std::nullopt;
  }
  if (error || listing.files.empty()) return std::nullopt;
  return listing;
}

std::optional<fs::path> HubCache::find(const RepoFile& file) const {
  const std::string& digest = file.sha256.empty() ? file.git_sha1 : file.sha256;
  if (folder_.empty() || digest.empty()) return std::nullopt;
  const fs::path blob = folder_ / "blobs" / digest;
  std::error_code error;
  if (!fs::is_regular_file(blob, error) || fs::file_size(blob, error) != file.bytes || error)
    return std::nullopt;
  return blob;
}

fs::path HubCache::path_of(const RepoListing& listing, const RepoFile& file) const {
  return folder_ / "snapshots" / listing.commit / file.path;
}

}  // namespace atelier
