// Store::import: from a user's files to a verified entry.
#include <algorithm>
#include <array>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/model_names.h"
#include "io/sha256.h"
#include "io/store.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

// What of a published folder is worth keeping; weights in other formats, pictures and scripts are not.
constexpr std::array<std::string_view, 5> kKeptExtensions = {".safetensors", ".json", ".model", ".txt",
                                                             ".jinja"};

struct Selection {
  std::vector<fs::path> files;
  std::string name;
};

Result<Selection> select_gguf(const fs::path& path) {
  const SplitName split = parse_split_name(path.filename().string());
  Selection selection{{path}, store_name_from(split.stem)};
  if (split.parts == 0) return selection;
  selection.files.clear();
  for (unsigned int number = 1; number <= split.parts; ++number) {
    const fs::path part = path.parent_path() / split.part(number);
    std::error_code error;
    if (!fs::exists(part, error))
      return fail(ErrorCode::kNotFound, "{}: part {} of {} is missing: {}", path.string(), number,
                  split.parts, part.string());
    selection.files.push_back(part);
  }
  return selection;
}

Result<Selection> select_folder(const fs::path& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  Selection selection{{}, store_name_from((error ? folder : real).filename().string())};
  bool has_weights = false;
  std::vector<fs::path> items;
  for (const auto& item : fs::directory_iterator(folder, error)) items.push_back(item.path());
  if (error) return tl::unexpected<Error>(errno_error(folder, error.value()));
  for (const fs::path& item : items) {
    const std::string extension = item.extension().string();
    if (item.filename().string().front() == '.' || !fs::is_regular_file(item, error)) continue;
    if (std::find(kKeptExtensions.begin(), kKeptExtensions.end(), extension) == kKeptExtensions.end())
      continue;
    has_weights = has_weights || extension == ".safetensors";
    selection.files.push_back(item);
  }
  if (!has_weights)
    return fail(ErrorCode::kNotFound, "{}: expected config.json and *.safetensors, found no weights",
                folder.string());
  std::sort(selection.files.begin(), selection.files.end());
  return selection;
}

Result<Selection> select_files(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) return select_folder(path);
  if (!fs::exists(status)) return fail(ErrorCode::kNotFound, "{}: no such file or folder", path.string());
  if (path.extension() != ".gguf")
    return fail(ErrorCode::kUnsupported,
                "{}: expected a .gguf file or a folder with config.json and *.safetensors", path.string());
  return select_gguf(path);
}

}  // namespace

Result<StoredModel> Store::import(const fs::path& path, const ImportOptions& options) const {
  ATELIER_TRY(const Selection selection, select_files(path));
  // Before anything is copied or hashed, and with the user's path in the message; publish() looks again at
  // what was staged.
  if (const auto checkpoint = Checkpoint::open(path); !checkpoint)
    return tl::unexpected<Error>(checkpoint.error());
  StoredModel model;
  model.name = options.name.empty() ? selection.name : options.name;
  if (!is_store_name(model.name))
    return fail(ErrorCode::kInvalidArgument, "{}: cannot make a name for the model store from this",
                path.string());
  std::error_code error;
  model.source =
      options.source.empty() ? fs::absolute(path, error).lexically_normal().string() : options.source;

  ATELIER_TRY(const Staging staging, Staging::create(root_));
  uint64_t total_bytes = 0;
  for (const fs::path& file : selection.files) {
    const fs::path placed = staging.files() / file.filename();
    ATELIER_CHECK_OK(place_file(file, placed, options.hooks));
    model.files.push_back({file.filename().string(), fs::file_size(placed, error), ""});
    total_bytes += model.files.back().bytes;
  }
  uint64_t hashed_bytes = 0;
  for (StoredFile& file : model.files) {
    const auto observe = [&](uint64_t done_bytes) -> Status {
      options.hooks.report("verifying", hashed_bytes + done_bytes, total_bytes);
      return options.hooks.check(path.string());
    };
    ATELIER_TRY(file.sha256, sha256_file(staging.files() / file.name, observe));
    hashed_bytes += file.bytes;
  }
  return publish(staging, std::move(model));
}

}  // namespace atelier
