#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/hub/fetch_model.h"
#include "io/hub/hub_settings.h"
#include "io/hub/pull_remote.h"
#include "io/hub/url.h"
#include "io/json_text.h"
#include "io/model_names.h"
#include "io/safetensors.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxListingBytes = size_t{64} << 20;

std::string escape_all(std::string_view text) {
  std::string escaped = url_escape_path(text);
  for (size_t at = 0; (at = escaped.find('/', at)) != std::string::npos;) escaped.replace(at, 1, "%2F");
  return escaped;
}

class RepositoryPull {
 public:
  RepositoryPull(const RepoReference& reference, const TransferHooks& hooks, const PullOptions& options,
                 HubSettings settings, HttpClient client)
      : reference_(reference),
        hooks_(hooks),
        options_(options),
        settings_(std::move(settings)),
        cache_(settings_.cache, reference.id),
        client_(std::move(client)) {}

  Result<StoredModel> run(const Store& store) {
    hooks_.report("listing", 0, 1);
    ATELIER_CHECK_OK(list());
    auto selected =
        select_repo_files(listing_, reference_.choice, [this](const RepoFile& file) { return read(file); });
    if (!selected) return fail_in(reference_.id, std::move(selected).error());
    ATELIER_CHECK_OK(check_architecture(*selected));
    ATELIER_TRY(const RemoteModel wanted, describe(std::move(*selected)));
    hooks_.report("listing", 1, 1);
    return fetch_model(
        store, client_, wanted, [this](const RemoteFile& file) { return find_local(file); }, hooks_,
        download_options());
  }

 private:
  std::function<Status()> check() const {
    return [this] { return hooks_.check(reference_.id); };
  }
  DownloadOptions download_options() const {
    return {.connections = options_.connections,
            .attempts = options_.attempts,
            .first_pause = options_.first_pause};
  }
  std::string file_url(std::string_view path) const {
    return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, reference_.id, listing_.commit,
                       url_escape_path(path));
  }

  Status list() {
    auto listed =
        settings_.offline ? fail(ErrorCode::kIo, "{}: HF_HUB_OFFLINE is set", reference_.id) : list_remote();
    if (listed) {
      listing_ = std::move(*listed);
      return {};
    }
    // Only where there was no answer: a refusal is one.
    if (listed.error().code == ErrorCode::kIo) {
      if (auto cached = cache_.listing(reference_.revision)) {
        listing_ = std::move(*cached);
        from_cache_ = true;
        return {};
      }
    }
    return tl::unexpected<Error>(std::move(listed).error());
  }

  Result<RepoListing> list_remote() {
    const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings_.endpoint,
                                        reference_.id, escape_all(reference_.revision));
    // A hub that cannot be reached at all is not waited for: the cache may do.
    ATELIER_TRY(const std::string answer,
                download_text(client_, url, kMaxListingBytes, reference_.id, /*connections_may_fail=*/false,
                              hooks_, download_options()));
    auto listing = parse_repo_listing(answer);
    if (!listing)
      return fail_in(fmt::format("{}: the listing of {}", reference_.id, url_host(settings_.endpoint)),
                     std::move(listing).error());
    return listing;
  }

  Result<std::string> read(const RepoFile& file) {
    if (from_cache_) return read_file(cache_.path_of(listing_, file), SafetensorsIndex::kMaxBytes);
    return download_text(client_, file_url(file.path), SafetensorsIndex::kMaxBytes, file.path,
                         /*connections_may_fail=*/true, hooks_, download_options());
  }

  // Before tens of gigabytes are fetched. Of a GGUF it is known only when it is here.
  Status check_architecture(const RepoSelection& selection) {
    if (!options_.runs || selection.files.front().path != "config.json") return {};
    ATELIER_TRY(const std::string text, read(selection.files.front()));
    const auto config = parse_json(text);
    if (!config) return fail_in(reference_.id + ": config.json", config.error());
    const auto type = config->is_object() ? config->find("model_type") : config->end();
    const std::string architecture =
        type != config->end() && type->is_string() ? type->get<std::string>() : "";
    if (options_.runs(architecture)) return {};
    return fail(
        ErrorCode::kUnsupported,
        "{}: its architecture, {}, is not one that can be run; nothing was fetched (--anyway fetches it)",
        reference_.id, shown(architecture));
  }

  Result<RemoteModel> describe(RepoSelection selection) {
    RemoteModel model;
    model.name = options_.name;
    if (model.name.empty()) {
      std::string base = reference_.id.substr(reference_.id.find('/') + 1);
      if (!selection.label.empty()) {
        if (base.ends_with("-GGUF") || base.ends_with("-gguf")) base.resize(base.size() - 5);
        // Repositories of one quantisation often carry it in their names.
        if (quantisation_of(base + ".gguf") != selection.label) base += "-" + selection.label;
      }
      model.name = store_name_from(base);
    }
    model.origin = "hf:" + reference_.id + (selection.label.empty() ? "" : ":" + selection.label);
    model.source = model.origin + "@" + listing_.commit;
    for (const RepoFile& file : selection.files) {
      ATELIER_TRY(RemoteFile remote, describe_file(file));
      model.files.push_back(std::move(remote));
    }
    return model;
  }

  Result<RemoteFile> describe_file(const RepoFile& file) {
    RemoteFile remote{.name = file.path.substr(file.path.rfind('/') + 1), .url = file_url(file.path)};
    if (!file.bytes) {
      ATELIER_TRY(RemoteFile probed, probe_file(client_, remote.url, check()));
      probed.name = remote.name;
      if (!file.sha256.empty()) probed.sha256 = file.sha256;
      return probed;
    }
    remote.bytes = *file.bytes;
    remote.sha256 = file.sha256;
    remote.git_sha1 = file.git_sha1;
    return remote;
  }

  std::optional<fs::path> find_local(const RemoteFile& file) const {
    if (auto blob = cache_.find({file.name, file.bytes, file.sha256, file.git_sha1})) return blob;
    if (!from_cache_) return std::nullopt;
    for (const RepoFile& cached : listing_.files)  // a cache without links has no digests
      if (file_url(cached.path) == file.url) return cache_.path_of(listing_, cached);
    return std::nullopt;
  }

  const RepoReference& reference_;
  const TransferHooks& hooks_;
  const PullOptions& options_;
  HubSettings settings_;
  HubCache cache_;
  HttpClient client_;
  RepoListing listing_;
  bool from_cache_ = false;
};

}  // namespace

Result<StoredModel> pull_repository(const Store& store, const RepoReference& reference,
                                    const TransferHooks& hooks, const PullOptions& options) {
  HubSettings settings = HubSettings::from_environment();
  ATELIER_TRY(
      HttpClient client,
      HttpClient::create({.stall = options.stall, .token = settings.token, .token_url = settings.endpoint}));
  return RepositoryPull(reference, hooks, options, std::move(settings), std::move(client)).run(store);
}

}  // namespace atelier
