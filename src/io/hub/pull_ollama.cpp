// What Ollama has on this machine: manifests that name blobs by their SHA-256, one of which is a GGUF.
//
//   MODELS/manifests/registry.ollama.ai/library/NAME/TAG    JSON: layers with mediaType, digest, size
//   MODELS/blobs/sha256-DIGEST
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/hub/pull_remote.h"
#include "io/hub/remote_file.h"
#include "io/json_text.h"
#include "io/model_names.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kModelLayer = "application/vnd.ollama.image.model";
constexpr std::string_view kAdapterLayer = "application/vnd.ollama.image.adapter";

// Where Ollama keeps models: its variable, the user's home, the service's home.
std::vector<fs::path> ollama_folders() {
  std::vector<fs::path> folders;
  if (const char* models = std::getenv("OLLAMA_MODELS"); models != nullptr && *models != '\0')
    return {models};
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    folders.push_back(fs::path(home) / ".ollama" / "models");
  folders.emplace_back("/usr/share/ollama/.ollama/models");
  return folders;
}

struct OllamaName {
  fs::path manifest;  // below manifests/
  std::string label;  // NAME:TAG, as people write it
};

bool is_ollama_part(std::string_view part) {
  return !part.empty() && part.size() <= 128 && part.front() != '.' &&
         std::all_of(part.begin(), part.end(), [](char c) { return is_store_name(std::string{'x', c}); });
}

// [HOST/][OWNER/]NAME[:TAG]
Result<OllamaName> parse_ollama_name(std::string_view text) {
  const auto refused =
      fail(ErrorCode::kInvalidArgument, "{}: expected an Ollama model, [owner/]name[:tag]", text);
  const size_t colon = text.rfind(':');
  std::string tag = "latest";
  std::string_view path = text;
  if (colon != std::string_view::npos && text.find('/', colon) == std::string_view::npos) {
    tag = text.substr(colon + 1);
    path = text.substr(0, colon);
  }
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() > 3 || !is_ollama_part(tag)) return refused;
  for (const std::string& part : parts)
    if (!is_ollama_part(part)) return refused;
  OllamaName name{.manifest = {}, .label = std::string(path) + ":" + tag};
  if (parts.size() < 2) parts.insert(parts.begin(), "library");
  if (parts.size() < 3) parts.insert(parts.begin(), "registry.ollama.ai");
  for (const std::string& part : parts) name.manifest /= part;
  name.manifest /= tag;
  return name;
}

struct ModelBlob {
  std::string sha256;
  uint64_t bytes = 0;
};

Result<ModelBlob> model_blob(const nlohmann::json& manifest) {
  std::vector<ModelBlob> blobs;
  const auto layers = manifest.is_object() ? manifest.find("layers") : manifest.end();
  if (layers == manifest.end() || !layers->is_array())
    return fail(ErrorCode::kCorrupt, "expected a list of layers, found none");
  for (const nlohmann::json& layer : *layers) {
    if (!layer.is_object()) continue;
    const std::string type =
        layer.value("mediaType", nlohmann::json()).is_string() ? layer.at("mediaType") : "";
    if (type == kAdapterLayer)
      return fail(ErrorCode::kUnsupported, "it is an adapter on another model, which is not read");
    if (type != kModelLayer) continue;
    const auto digest = layer.find("digest");
    const auto size = layer.find("size");
    const std::string text = digest != layer.end() && digest->is_string() ? digest->get<std::string>() : "";
    if (!text.starts_with("sha256:") || text.size() != 71 ||
        text.find_first_not_of("0123456789abcdef", 7) != std::string::npos || size == layer.end() ||
        !size->is_number_unsigned())
      return fail(ErrorCode::kCorrupt, "expected a SHA-256 and a size of its model, found something else");
    blobs.push_back({text.substr(7), size->get<uint64_t>()});
  }
  if (blobs.size() != 1)
    return fail(ErrorCode::kUnsupported, "expected one GGUF, found {} model layers", blobs.size());
  return blobs.front();
}

}  // namespace

Result<StoredModel> import_from_ollama(const Store& store, std::string_view text, const TransferHooks& hooks,
                                       const PullOptions& options) {
  ATELIER_TRY(const OllamaName name, parse_ollama_name(text));
  std::error_code error;
  const std::vector<fs::path> folders = ollama_folders();
  const auto folder = std::find_if(folders.begin(), folders.end(), [&](const fs::path& models) {
    return fs::is_regular_file(models / "manifests" / name.manifest, error);
  });
  if (folder == folders.end())
    return fail(ErrorCode::kNotFound, "ollama:{}: Ollama has no such model in {} (OLLAMA_MODELS says where)",
                name.label, folders.front().string());
  ATELIER_TRY(const nlohmann::json manifest, read_json_file(*folder / "manifests" / name.manifest));
  const auto blob = model_blob(manifest);
  if (!blob) return fail_in("ollama:" + name.label, blob.error());

  StoredModel model;
  model.name = options.name.empty() ? store_name_from(name.label) : options.name;
  model.source = "ollama:" + name.label;
  ATELIER_CHECK_OK(check_store_name(model.name));
  ATELIER_TRY(const Staging staging, Staging::create(store.root()));
  const std::string file_name = model.name + ".gguf";
  const fs::path placed = staging.files() / file_name;
  ATELIER_CHECK_OK(place_file(*folder / "blobs" / ("sha256-" + blob->sha256), placed, hooks));
  const RemoteFile expected{.name = name.label, .url = {}, .bytes = blob->bytes, .sha256 = blob->sha256};
  ATELIER_TRY(const std::string digest, verify_file(placed, expected, [&](uint64_t done) -> Status {
                hooks.report("verifying", done, blob->bytes);
                return hooks.check(name.label);
              }));
  model.files = {{file_name, blob->bytes, digest}};
  return store.publish(staging, std::move(model));
}

}  // namespace atelier
