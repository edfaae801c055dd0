// safetensors alone and in folders, with the JSON files around them.
#include <algorithm>

#include "io/byte_reader.h"
#include "io/checkpoint_state.h"
#include "io/json_text.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<std::optional<nlohmann::json>> read_object_if_there(const fs::path& path) {
  if (!is_there(path)) return std::optional<nlohmann::json>();
  ATELIER_TRY(nlohmann::json json, read_json_file(path));
  if (!json.is_object())
    return fail(ErrorCode::kCorrupt, "{}: expected a JSON object, found {}", path.string(), json.type_name());
  return std::optional(std::move(json));
}

// Names in `folder` for which `wanted` holds, sorted.
template <class Wanted>
Result<std::vector<fs::path>> list_folder(const fs::path& folder, Wanted wanted) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!wanted(at->path().filename().string())) continue;
    if (found.size() == SafetensorsIndex::kMaxShards)
      return fail(ErrorCode::kLimit, "{}: expected at most {} weight files, found more", folder.string(),
                  SafetensorsIndex::kMaxShards);
    found.push_back(at->path());
  }
  if (error) return tl::unexpected<Error>(errno_error(folder, error.value()));
  std::sort(found.begin(), found.end());
  return found;
}

Status open_safetensors(const fs::path& path, Checkpoint::State& state) {
  ATELIER_TRY(MappedFile mapped, MappedFile::open(path));
  ATELIER_TRY(SafetensorsFile file, SafetensorsFile::parse(mapped.bytes(), path.string()));
  std::vector<TensorView> tensors = file.release_tensors();
  if (state.tensors.empty())
    state.tensors = std::move(tensors);
  else
    state.tensors.insert(state.tensors.end(), tensors.begin(), tensors.end());
  state.files.push_back(std::move(mapped));
  state.safetensors.push_back(std::move(file));
  return {};
}

// Every tensor the index names is in the shard the index says.
Status check_index(const fs::path& path, const SafetensorsIndex& index, Checkpoint::State& state) {
  Status sorted = sort_by_name(state.tensors);
  if (!sorted) return fail_in(path.string(), std::move(sorted).error());
  for (const SafetensorsIndex::Entry& entry : index.entries()) {
    const auto at = std::lower_bound(state.tensors.begin(), state.tensors.end(), entry.tensor,
                                     [](const TensorView& t, std::string_view n) { return t.name < n; });
    const std::span<const std::byte> shard = state.files[entry.shard].bytes();
    const bool found = at != state.tensors.end() && at->name == entry.tensor &&
                       at->bytes.data() >= shard.data() && at->bytes.data() <= shard.data() + shard.size();
    if (!found)
      return fail(ErrorCode::kCorrupt, "{}: expected tensor {} in {}, not found there", path.string(),
                  shown(entry.tensor), index.shards()[entry.shard]);
  }
  return {};
}

Status open_shards(const fs::path& folder, const fs::path& index_path, Checkpoint::State& state) {
  ATELIER_TRY(const std::string text, read_file(index_path, SafetensorsIndex::kMaxBytes));
  ATELIER_TRY(const SafetensorsIndex index, SafetensorsIndex::parse(text, index_path.string()));
  for (const std::string& shard : index.shards()) ATELIER_CHECK_OK(open_safetensors(folder / shard, state));
  return check_index(index_path, index, state);
}

// `stem`: what weight files begin with, "model" or "consolidated".
Status open_weights(const fs::path& folder, const std::string& stem, Checkpoint::State& state) {
  const fs::path index = folder / (stem + ".safetensors.index.json");
  if (is_there(index)) return open_shards(folder, index, state);
  const fs::path whole = folder / (stem + ".safetensors");
  if (is_there(whole)) return open_safetensors(whole, state);
  ATELIER_TRY(const auto parts, list_folder(folder, [&](const std::string& name) {
                return name.starts_with(stem) && name.ends_with(".safetensors");
              }));
  for (const fs::path& part : parts) ATELIER_CHECK_OK(open_safetensors(part, state));
  if (!parts.empty()) return {};
  ATELIER_TRY(const auto pickled, list_folder(folder, [](const std::string& name) {
                return name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt");
              }));
  if (!pickled.empty())
    return fail(ErrorCode::kUnsupported,
                "{}: expected {}*.safetensors, found {} (pickled weights are not read)", folder.string(),
                stem, pickled.front().filename().string());
  return fail(ErrorCode::kNotFound, "{}: expected weights in {}*.safetensors, found none", folder.string(),
              stem);
}

// Whose checkpoint it is. OpenAI's `original/config.json` has no model_type, but fields no one else's has.
Status identify(const fs::path& config_path, Checkpoint::State& state) {
  const nlohmann::json& config = state.metadata;
  if (const auto type = config.find("model_type"); type != config.end()) {
    if (!type->is_string())
      return fail(ErrorCode::kCorrupt, "{}: expected model_type to be a string, found {}",
                  config_path.string(), type->type_name());
    state.dialect = Dialect::kHf;
    state.architecture = type->get<std::string>();
    return {};
  }
  if (config.contains("num_experts") && config.contains("experts_per_token")) {
    state.dialect = Dialect::kOriginal;
    state.architecture = "gpt_oss";
    return {};
  }
  return fail(ErrorCode::kUnsupported, "{}: expected a model_type, found none", config_path.string());
}

// OpenAI ships tokenizer.json one level above `original/`.
fs::path find_tokenizer_folder(const fs::path& folder, Dialect dialect) {
  if (is_there(folder / "tokenizer.json")) return folder;
  const fs::path above = folder.has_filename() ? folder.parent_path() : folder.parent_path().parent_path();
  if (dialect == Dialect::kOriginal && is_there(above / "tokenizer.json")) return above;
  return {};
}

Status read_side_files(const fs::path& folder, Checkpoint::State& state) {
  ATELIER_TRY(state.generation_config, read_object_if_there(folder / "generation_config.json"));
  state.tokenizer_folder = find_tokenizer_folder(folder, state.dialect);
  const fs::path& tokenizer = state.tokenizer_folder.empty() ? folder : state.tokenizer_folder;
  ATELIER_TRY(state.tokenizer_config, read_object_if_there(tokenizer / "tokenizer_config.json"));
  return {};
}

Status open_config_folder(const fs::path& folder, Checkpoint::State& state) {
  ATELIER_TRY(state.metadata, read_json_file(folder / "config.json"));
  if (!state.metadata.is_object())
    return fail(ErrorCode::kCorrupt, "{}: expected a JSON object, found {}",
                (folder / "config.json").string(), state.metadata.type_name());
  ATELIER_CHECK_OK(identify(folder / "config.json", state));
  ATELIER_CHECK_OK(open_weights(folder, "model", state));
  return read_side_files(folder, state);
}

Status open_params_folder(const fs::path& folder, Checkpoint::State& state) {
  ATELIER_TRY(state.metadata, read_json_file(folder / "params.json"));
  if (!state.metadata.is_object())
    return fail(ErrorCode::kCorrupt, "{}: expected a JSON object, found {}",
                (folder / "params.json").string(), state.metadata.type_name());
  state.dialect = Dialect::kOriginal;
  state.architecture = "llama";
  ATELIER_CHECK_OK(open_weights(folder, "consolidated", state));
  return read_side_files(folder, state);
}

Status open_folder(const fs::path& folder, Checkpoint::State& state) {
  if (is_there(folder / "config.json")) return open_config_folder(folder, state);
  if (is_there(folder / "params.json")) return open_params_folder(folder, state);
  ATELIER_TRY(const auto ggufs,
              list_folder(folder, [](const std::string& name) { return name.ends_with(".gguf"); }));
  // One model: a single file, or parts, of which any will do.
  const bool one_model =
      ggufs.size() == 1 ||
      (!ggufs.empty() && ggufs.front().string().find("-00001-of-") != std::string::npos &&
       std::all_of(ggufs.begin(), ggufs.end(), [&](const fs::path& part) {
         const std::string first = ggufs.front().filename().string();
         return part.filename().string().starts_with(first.substr(0, first.rfind("-00001-of-")));
       }));
  if (one_model) return open_gguf(ggufs.front(), state);
  if (!ggufs.empty())
    return fail(ErrorCode::kInvalidArgument, "{}: expected one model, found {} GGUF files: name one of them",
                folder.string(), ggufs.size());
  return fail(ErrorCode::kNotFound,
              "{}: expected config.json and weights, params.json and weights, or a GGUF file, found none",
              folder.string());
}

// A lone .safetensors file: what its folder says about it helps, but need not be there.
Status open_lone_safetensors(const fs::path& path, Checkpoint::State& state) {
  ATELIER_CHECK_OK(open_safetensors(path, state));
  state.dialect = Dialect::kHf;
  const fs::path folder = path.parent_path();
  ATELIER_TRY(auto config, read_object_if_there(folder / "config.json"));
  if (!config) return {};
  state.metadata = std::move(*config);
  ATELIER_CHECK_OK(identify(folder / "config.json", state));
  return read_side_files(folder, state);
}

}  // namespace

Status open_checkpoint(const fs::path& path, Checkpoint::State& state) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return open_folder(path, state);
  std::string magic;
  {
    ATELIER_TRY(const MappedFile file, MappedFile::open(path));
    magic = as_chars(file.bytes().first(std::min<size_t>(4, file.bytes().size())));
  }
  if (magic == "GGUF" || path.extension() == ".gguf") return open_gguf(path, state);
  if (path.extension() == ".safetensors") return open_lone_safetensors(path, state);
  return fail(ErrorCode::kUnsupported,
              "{}: expected a GGUF or .safetensors file, found one that starts with \"{}\"", path.string(),
              shown(magic));
}

}  // namespace atelier
