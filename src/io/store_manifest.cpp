#include "io/store_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/model_names.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr int kManifestFormat = 1;
constexpr size_t kMaxManifestBytes = size_t{4} << 20;

std::string text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<StoredFile> parse_file(const nlohmann::json& entry) {
  StoredFile file;
  if (entry.is_object()) file = {text(entry, "name"), 0, text(entry, "sha256")};
  if (!is_plain_file_name(file.name))
    return fail(ErrorCode::kCorrupt, "expected plain file names, found {}", entry.dump(-1, ' ', true));
  const auto bytes = entry.find("bytes");
  if (bytes == entry.end() || !bytes->is_number_unsigned())
    return fail(ErrorCode::kCorrupt, "file {}: expected its size in bytes", file.name);
  file.bytes = bytes->get<uint64_t>();
  return file;
}

Result<StoredModel> parse_manifest(const std::string& content) {
  const nlohmann::json json = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(ErrorCode::kCorrupt, "expected a JSON object");
  const auto format = json.find("format");
  if (format == json.end() || *format != kManifestFormat)
    return fail(ErrorCode::kUnsupported, "expected manifest format {}, found {}", kManifestFormat,
                format == json.end() ? "none" : format->dump(-1, ' ', true));
  StoredModel model;
  model.source = text(json, "source");
  model.added = text(json, "added");
  model.architecture = text(json, "architecture");
  const auto files = json.find("files");
  if (files == json.end() || !files->is_array() || files->empty())
    return fail(ErrorCode::kCorrupt, "expected a list of files");
  for (const auto& entry : *files) {
    ATELIER_TRY(StoredFile file, parse_file(entry));
    model.files.push_back(std::move(file));
  }
  return model;
}

Status check_sizes(const fs::path& files_folder, const std::vector<StoredFile>& files) {
  for (const StoredFile& file : files) {
    std::error_code error;
    const uint64_t bytes = fs::file_size(files_folder / file.name, error);
    if (error) return fail(ErrorCode::kCorrupt, "file {}: {}", file.name, error.message());
    if (bytes != file.bytes)
      return fail(ErrorCode::kCorrupt, "file {}: expected {} bytes, found {}", file.name, file.bytes, bytes);
  }
  return {};
}

}  // namespace

uint64_t StoredModel::total_bytes() const {
  uint64_t total = 0;
  for (const StoredFile& file : files) total += file.bytes;
  return total;
}

fs::path weights_path(const fs::path& files_folder, const std::vector<StoredFile>& files) {
  const StoredFile* first_gguf = nullptr;
  for (const StoredFile& file : files) {
    if (fs::path(file.name).extension() != ".gguf") continue;
    if (first_gguf == nullptr || file.name < first_gguf->name) first_gguf = &file;
  }
  return first_gguf != nullptr ? files_folder / first_gguf->name : files_folder;
}

Result<StoredModel> read_manifest(const fs::path& entry) {
  const std::string name = entry.filename().string();
  std::error_code error;
  if (!fs::is_directory(entry, error)) return fail(ErrorCode::kNotFound, "{}: not in the model store", name);

  const auto damaged = [&name](const Error& cause) {
    return fail(ErrorCode::kCorrupt, "{}: damaged in the model store: {} (remove it with `atelier rm {}`)",
                name, cause.message, name);
  };
  const auto content = read_file(entry / "manifest.json", kMaxManifestBytes);
  if (!content) return damaged(content.error());
  auto model = parse_manifest(*content);
  if (!model) return damaged(model.error());
  const fs::path files_folder = entry / "files";
  if (const Status sizes = check_sizes(files_folder, model->files); !sizes) return damaged(sizes.error());

  model->name = name;
  model->path = weights_path(files_folder, model->files);
  return model;
}

Status write_manifest(const fs::path& entry, const StoredModel& model) {
  nlohmann::ordered_json json = {{"format", kManifestFormat},
                                 {"name", model.name},
                                 {"source", model.source},
                                 {"added", model.added},
                                 {"architecture", model.architecture},
                                 {"files", nlohmann::ordered_json::array()}};
  for (const StoredFile& file : model.files)
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  // Sources and file names may hold any bytes; what is not UTF-8 is replaced rather than thrown at.
  const std::string content = json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return write_file_atomically(entry / "manifest.json", content + "\n");
}

}  // namespace atelier
