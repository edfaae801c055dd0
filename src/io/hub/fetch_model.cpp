#include "io/hub/fetch_model.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "io/hub/url.h"
#include "io/model_names.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 43;  // 8 TiB
constexpr size_t kMaxFiles = 2000;

Status check_files(const RemoteModel& wanted) {
  if (wanted.files.empty() || wanted.files.size() > kMaxFiles)
    return fail(ErrorCode::kLimit, "{}: expected 1 to {} files, found {}", wanted.name, kMaxFiles,
                wanted.files.size());
  std::set<std::string_view> names;
  for (const RemoteFile& file : wanted.files) {
    if (!is_plain_file_name(file.name))
      return fail(ErrorCode::kCorrupt, "{}: expected plain file names, found one that is not", wanted.name);
    if (file.bytes > kMaxFileBytes)
      return fail(ErrorCode::kLimit, "{}: expected at most {} bytes, found {}", file.name, kMaxFileBytes,
                  file.bytes);
    if (!names.insert(file.name).second)
      return fail(ErrorCode::kCorrupt, "{}: two files are called {}", wanted.name, file.name);
  }
  return {};
}

fs::path files_folder(const StoredModel& model) {
  return fs::is_directory(model.path) ? model.path : model.path.parent_path();
}

// Whether the store's file is the remote one, as far as can be told without reading large ones.
bool is_same_file(const StoredModel& present, const RemoteFile& wanted) {
  const auto found = std::find_if(present.files.begin(), present.files.end(),
                                  [&](const StoredFile& file) { return file.name == wanted.name; });
  if (found == present.files.end() || found->bytes != wanted.bytes) return false;
  if (!wanted.sha256.empty()) return found->sha256 == wanted.sha256;
  if (wanted.git_sha1.empty()) return true;
  return verify_file(files_folder(present) / wanted.name, wanted, {}).has_value();
}

// A file of the store's model that has the content wanted: versions of a model share some.
std::optional<fs::path> find_in_store(const StoredModel& present, const RemoteFile& wanted) {
  for (const StoredFile& file : present.files)
    if (!wanted.sha256.empty() && file.sha256 == wanted.sha256) return files_folder(present) / file.name;
  return std::nullopt;
}

// "hf:a/b@abc" comes from "hf:a/b".
bool comes_from(const StoredModel& model, std::string_view origin) {
  return model.source.starts_with(origin) &&
         (model.source.size() == origin.size() || model.source[origin.size()] == '@');
}

// Gathers the files in a staging folder, under names that are their content's until all are there:
//   KEY.part, KEY.map   on their way
//   KEY.copy            taken from elsewhere on this machine, not verified
//   KEY.ok              verified
class Fetch {
 public:
  Fetch(HttpClient& client, const RemoteModel& wanted, const TransferHooks& hooks,
        const DownloadOptions& options, const Staging& staging)
      : client_(client), wanted_(wanted), hooks_(hooks), options_(options), staging_(staging) {
    std::set<std::string> keys;
    for (const RemoteFile& file : wanted.files)
      if (keys.insert(file.key()).second) contents_.push_back(file);
    for (const RemoteFile& file : contents_) total_bytes_ += file.bytes;
  }

  Status run(const FindLocal& find_local) {
    remove_strangers();
    for (const RemoteFile& file : contents_)
      if (!is_verified(file)) ATELIER_CHECK_OK(take_local(file, find_local));
    std::vector<RemoteFile> missing;
    std::set<std::string> resumed;
    for (const RemoteFile& file : contents_) {
      if (is_verified(file)) continue;
      if (size_of(file, ".part") > 0) resumed.insert(file.key());
      missing.push_back(file);
    }
    ATELIER_CHECK_OK(check_free_space(staging_.folder(), missing_space(missing, staging_.folder())));
    ATELIER_CHECK_OK(download_files(client_, missing, staging_.folder(), hooks_, options_));
    for (const RemoteFile& file : missing) {
      Status verified = verify(file, ".part");
      // What an earlier process left may be to blame: then once more, from nothing.
      if (!verified && verified.error().code == ErrorCode::kCorrupt && resumed.contains(file.key())) {
        ATELIER_CHECK_OK(download_files(client_, {&file, 1}, staging_.folder(), hooks_, options_));
        verified = verify(file, ".part");
      }
      ATELIER_CHECK_OK(verified);
    }
    return {};
  }

  // The verified files under their own names in staging.files(), and what the manifest says of them.
  Result<std::vector<StoredFile>> place() const {
    std::vector<StoredFile> stored;
    for (const RemoteFile& file : wanted_.files) {
      const fs::path placed = staging_.files() / file.name;
      ATELIER_CHECK_OK(place_file(path_of(file, ".ok"), placed, hooks_));
      std::string digest = file.sha256;
      if (digest.empty()) {
        ATELIER_TRY(digest, sha256_file(placed));
      }
      stored.push_back({file.name, file.bytes, digest});
    }
    return stored;
  }

  bool has_digests() const {
    return std::all_of(contents_.begin(), contents_.end(),
                       [](const RemoteFile& file) { return file.has_digest(); });
  }

  // Whether another pull could go on from what is there.
  bool has_progress() const {
    return std::any_of(contents_.begin(), contents_.end(), [this](const RemoteFile& file) {
      return size_of(file, ".part") > 0 || size_of(file, ".ok") > 0;
    });
  }

 private:
  fs::path path_of(const RemoteFile& file, std::string_view extension) const {
    return staging_.folder() / (file.key() + std::string(extension));
  }
  uint64_t size_of(const RemoteFile& file, std::string_view extension) const {
    std::error_code error;
    const uint64_t bytes = fs::file_size(path_of(file, extension), error);
    return error ? 0 : bytes;
  }
  bool is_verified(const RemoteFile& file) const {
    std::error_code error;
    return fs::exists(path_of(file, ".ok"), error) && size_of(file, ".ok") == file.bytes;
  }

  // What another version of the model left, and names given by a process that was killed while it published.
  void remove_strangers() const {
    std::set<fs::path> known = {staging_.entry()};
    for (const RemoteFile& file : contents_)
      for (const std::string_view extension : {".part", ".map", ".ok"})
        known.insert(path_of(file, extension));
    for (const fs::path& folder : {staging_.folder(), staging_.files()}) {
      std::vector<fs::path> strangers;
      std::error_code error;
      for (const auto& item : fs::directory_iterator(folder, error))
        if (!known.contains(item.path())) strangers.push_back(item.path());
      for (const fs::path& stranger : strangers) fs::remove_all(stranger, error);
    }
  }

  // A copy on this machine that is not what it should be is as good as none.
  Status take_local(const RemoteFile& file, const FindLocal& find_local) {
    const auto local = find_local(file);
    if (!local) return {};
    Status taken = place_file(*local, path_of(file, ".copy"), hooks_);
    if (taken) taken = verify(file, ".copy");
    std::error_code ignored;
    fs::remove(path_of(file, ".copy"), ignored);
    if (!taken && taken.error().code == ErrorCode::kInterrupted) return taken;
    return {};
  }

  // KEY + extension becomes KEY.ok, or is removed where it is not what was promised.
  Status verify(const RemoteFile& file, std::string_view extension) {
    const fs::path path = path_of(file, extension);
    const auto digest = verify_file(path, file, [&](uint64_t done) -> Status {
      hooks_.report("verifying", verified_bytes_ + done, total_bytes_);
      return hooks_.check(file.name);
    });
    std::error_code ignored;
    if (!digest) {
      if (digest.error().code == ErrorCode::kCorrupt) {
        fs::remove(path, ignored);
        fs::remove(path_of(file, ".map"), ignored);
      }
      return tl::unexpected<Error>(digest.error());
    }
    verified_bytes_ += file.bytes;
    const fs::path verified = path_of(file, ".ok");
    if (::rename(path.c_str(), verified.c_str()) != 0)
      return tl::unexpected<Error>(errno_error(verified, errno));
    fs::remove(path_of(file, ".map"), ignored);
    return {};
  }

  HttpClient& client_;
  const RemoteModel& wanted_;
  const TransferHooks& hooks_;
  const DownloadOptions& options_;
  const Staging& staging_;
  std::vector<RemoteFile> contents_;  // the files without repetitions
  uint64_t total_bytes_ = 0;
  uint64_t verified_bytes_ = 0;
};

Result<StoredModel> fetch_and_publish(const Store& store, Fetch& fetch, const Staging& staging,
                                      const RemoteModel& wanted, const FindLocal& find_local) {
  ATELIER_CHECK_OK(fetch.run(find_local));
  StoredModel model;
  model.name = wanted.name;
  model.source = wanted.source;
  ATELIER_TRY(model.files, fetch.place());
  return store.publish(staging, std::move(model), IfTaken::kReplace);
}

// What answers a probe is wanted up to its first byte.
class ProbeSink final : public HttpSink {
 public:
  Status on_head(const HttpHead& answer) override {
    head = answer;
    return {};
  }
  Status on_body(std::span<const std::byte>) override {
    return fail(ErrorCode::kInterrupted, "the rest is not wanted");
  }
  void on_end(Status status) override { ended = std::move(status); }

  HttpHead head;
  std::optional<Status> ended;
};

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

Result<StoredModel> fetch_model(const Store& store, HttpClient& client, const RemoteModel& wanted,
                                const FindLocal& find_local, const TransferHooks& hooks,
                                const DownloadOptions& options) {
  ATELIER_CHECK_OK(check_files(wanted));
  const auto present = store.find(wanted.name);
  if (present) {
    const bool same = present->files.size() == wanted.files.size() &&
                      std::all_of(wanted.files.begin(), wanted.files.end(),
                                  [&](const RemoteFile& file) { return is_same_file(*present, file); });
    if (same) {
      store.forget_download(wanted.name);  // of a process that was killed when it had published
      return *present;
    }
    if (!comes_from(*present, wanted.origin))
      return fail(
          ErrorCode::kInvalidArgument,
          "{}: the store has a model of this name from {} (choose another with --name, or `atelier rm {}`)",
          wanted.name, present->source, wanted.name);
  }
  ATELIER_TRY(Staging staging, Staging::resume(store.root(), wanted.name));
  Fetch fetch(client, wanted, hooks, options, staging);
  const FindLocal find_anywhere = [&](const RemoteFile& file) {
    auto found = present ? find_in_store(*present, file) : std::nullopt;
    return !found && find_local ? find_local(file) : found;
  };
  auto published = fetch_and_publish(store, fetch, staging, wanted, find_anywhere);
  // What parses as nothing is of no use to a later pull, unless it is known to be what was published.
  const bool useless = !published && (published.error().code == ErrorCode::kCorrupt ||
                                      published.error().code == ErrorCode::kUnsupported);
  if (published || !fetch.has_progress() || (useless && !fetch.has_digests())) staging.discard();
  return published;
}

Result<RemoteFile> probe_file(HttpClient& client, const std::string& url,
                              const std::function<Status()>& check) {
  ProbeSink sink;
  ATELIER_CHECK_OK(client.start({.url = url, .range = ByteRange{0, 0}}, sink));
  while (!sink.ended) {
    Status going = check ? check() : Status();
    if (going) going = client.step(std::chrono::milliseconds(100));
    if (going) continue;
    client.cancel(sink);
    return tl::unexpected<Error>(std::move(going).error());
  }
  const HttpHead& head = sink.head;
  const std::string name = url_file_name(url);
  if (!*sink.ended && sink.ended->error().code != ErrorCode::kInterrupted)
    return tl::unexpected<Error>(sink.ended->error());
  if (head.status != 200 && head.status != 206) return tl::unexpected<Error>(status_error(head, name));
  const auto part = head.part();
  const std::optional<uint64_t> bytes = part ? part->total : head.content_length();
  if (!bytes)
    return fail(ErrorCode::kUnsupported, "{}: expected {} to say how long it is, found nothing", name,
                url_host(url));
  RemoteFile file{.name = name, .url = url, .bytes = *bytes};
  std::string_view digest = head.header("x-linked-etag");  // Hugging Face's
  if (digest.size() > 2 && digest.front() == '"') digest = digest.substr(1, digest.size() - 2);
  if (is_sha256(digest)) file.sha256 = digest;
  if (const std::string_view etag = head.header("etag"); !etag.starts_with("W/")) file.etag = etag;
  return file;
}

}  // namespace atelier
