#include <array>

#include "io/hub/fetch_model.h"
#include "io/hub/pull_remote.h"
#include "io/hub/url.h"
#include "io/model_names.h"
#include "io/safetensors.h"

namespace atelier {
namespace {

constexpr std::array<std::string_view, 7> kFolderFiles = {"config.json",
                                                          "generation_config.json",
                                                          "tokenizer.json",
                                                          "tokenizer_config.json",
                                                          "chat_template.jinja",
                                                          "model.safetensors",
                                                          "model.safetensors.index.json"};

// The parts of a URL around the last segment of its path.
struct UrlParts {
  std::string folder;  // up to and with the last '/' of the path
  std::string name;    // the last segment
  std::string query;   // with its '?'
  std::string sha256;  // of "#sha256=…"
};

Result<UrlParts> take_apart(const std::string& url) {
  UrlParts parts;
  const size_t fragment = std::min(url.find('#'), url.size());
  const std::string_view hash = std::string_view(url).substr(fragment);
  if (hash.starts_with("#sha256=")) parts.sha256 = hash.substr(8);
  if (!hash.empty() &&
      (parts.sha256.size() != 64 || parts.sha256.find_first_not_of("0123456789abcdef") != std::string::npos))
    return fail(ErrorCode::kInvalidArgument, "{}: expected \"#sha256=\" and 64 hexadecimal digits, found {}",
                url_host(url), hash);
  const size_t query = std::min(url.find('?'), fragment);
  parts.query = url.substr(query, fragment - query);
  const std::string path = url.substr(0, query);
  parts.folder = path.substr(0, path.rfind('/') + 1);
  parts.name = url_file_name(path);
  return parts;
}

class UrlPull {
 public:
  UrlPull(UrlParts parts, HttpClient client, const TransferHooks& hooks, const PullOptions& options)
      : parts_(std::move(parts)), client_(std::move(client)), hooks_(hooks), options_(options) {}

  Result<StoredModel> run(const Store& store) {
    hooks_.report("listing", 0, 1);
    RemoteModel wanted;
    wanted.origin = parts_.folder + url_escape_path(parts_.name);
    ATELIER_TRY(wanted.files, parts_.name.ends_with(".gguf") ? gguf_files() : folder_files());
    wanted.source = wanted.origin;
    wanted.name = options_.name.empty() ? default_name() : options_.name;
    if (!is_store_name(wanted.name))
      return fail(ErrorCode::kInvalidArgument,
                  "{}: cannot make a name for the model store from this (use --name)", wanted.origin);
    hooks_.report("listing", 1, 1);
    return fetch_model(store, client_, wanted, {}, hooks_,
                       {.connections = options_.connections,
                        .attempts = options_.attempts,
                        .first_pause = options_.first_pause});
  }

 private:
  std::function<Status()> check() const {
    return [this] { return hooks_.check(parts_.name); };
  }
  std::string url_of(std::string_view name) const {
    return parts_.folder + url_escape_path(name) + parts_.query;
  }
  std::string default_name() const {
    if (!parts_.name.empty()) return store_name_from(parse_split_name(parts_.name).stem);
    return store_name_from(url_file_name(parts_.folder.substr(0, parts_.folder.size() - 1)));
  }

  Result<std::vector<RemoteFile>> gguf_files() {
    const SplitName split = parse_split_name(parts_.name);
    std::vector<RemoteFile> files;
    for (unsigned int number = 1; number <= std::max(split.parts, 1U); ++number) {
      const std::string name = split.parts == 0 ? parts_.name : split.part(number);
      ATELIER_TRY(RemoteFile file, probe_file(client_, url_of(name), check()));
      files.push_back(std::move(file));
    }
    if (!parts_.sha256.empty()) {
      if (files.size() > 1)
        return fail(ErrorCode::kInvalidArgument, "{}: one digest cannot be that of {} parts", parts_.name,
                    files.size());
      files.front().sha256 = parts_.sha256;
    }
    return files;
  }

  // A folder on a web server has no listing: what may be there is asked for.
  Result<std::vector<RemoteFile>> folder_files() {
    std::vector<RemoteFile> files;
    std::vector<std::string> names(kFolderFiles.begin(), kFolderFiles.end());
    for (size_t i = 0; i < names.size(); ++i) {
      auto file = probe_file(client_, url_of(names[i]), check());
      const bool needed = names[i] == "config.json" || i >= kFolderFiles.size();
      if (!file && (needed || file.error().code != ErrorCode::kNotFound))
        return tl::unexpected<Error>(std::move(file).error());
      if (!file) continue;
      files.push_back(std::move(*file));
      if (names[i] != "model.safetensors.index.json") continue;
      ATELIER_TRY(const HttpClient::Answer index,
                  client_.fetch({.url = url_of(names[i])}, SafetensorsIndex::kMaxBytes, check()));
      ATELIER_TRY(const SafetensorsIndex parsed, SafetensorsIndex::parse(index.body, names[i]));
      names.insert(names.end(), parsed.shards().begin(), parsed.shards().end());
    }
    return files;
  }

  UrlParts parts_;
  HttpClient client_;
  const TransferHooks& hooks_;
  const PullOptions& options_;
};

}  // namespace

Result<StoredModel> pull_url(const Store& store, const std::string& url, const TransferHooks& hooks,
                             const PullOptions& options) {
  ATELIER_TRY(UrlParts parts, take_apart(url));
  if (!parts.name.empty() && !parts.name.ends_with(".gguf"))
    return fail(ErrorCode::kInvalidArgument,
                "{}: expected the URL of a .gguf, or of a folder with config.json (ending in '/'), found {}",
                url_host(url), shown(parts.name));
  ATELIER_TRY(HttpClient client, HttpClient::create({.stall = options.stall}));
  return UrlPull(std::move(parts), std::move(client), hooks, options).run(store);
}

}  // namespace atelier
