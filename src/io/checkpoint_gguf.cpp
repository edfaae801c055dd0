// One GGUF file, or the parts of a split one.
#include <algorithm>

#include "io/checkpoint_state.h"
#include "io/utf8.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

// "PREFIX-00002-of-00005.gguf" → prefix "PREFIX".
struct PartName {
  std::string prefix;

  std::string file(uint64_t number, uint64_t count) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
  }
};

Result<PartName> parse_part_name(const fs::path& path, uint64_t number, uint64_t count) {
  const std::string name = path.filename().string();
  const std::string ending = PartName{}.file(number, count);
  if (!name.ends_with(ending))
    return fail(ErrorCode::kCorrupt, "{}: expected a name that ends in {} for part {} of {}, found {}",
                path.string(), ending, number, count, name);
  return PartName{name.substr(0, name.size() - ending.size())};
}

// The key's value, or `fallback`; errors name the file.
Result<uint64_t> uint_or(const fs::path& path, const GgufMetadata& metadata, std::string_view key,
                         uint64_t fallback) {
  Result<uint64_t> value = metadata.uint_or(key, fallback);
  if (!value) return fail_in(path.string(), std::move(value).error());
  return value;
}

// Maps and parses one part; `state` receives the mapping, the caller the parsed file.
Result<GgufFile> open_part(const fs::path& path, Checkpoint::State& state) {
  ATELIER_TRY(MappedFile mapped, MappedFile::open(path));
  ATELIER_TRY(GgufFile part, GgufFile::parse(mapped.bytes(), path.string()));
  state.files.push_back(std::move(mapped));
  return part;
}

Status check_part(const fs::path& path, const GgufMetadata& metadata, uint64_t number, uint64_t count) {
  ATELIER_TRY(const uint64_t split_no, uint_or(path, metadata, "split.no", UINT64_MAX));
  ATELIER_TRY(const uint64_t split_count, uint_or(path, metadata, "split.count", 0));
  if (split_no != number - 1 || split_count != count)
    return fail(ErrorCode::kCorrupt, "{}: expected split.no {} and split.count {}, found {} and {}",
                path.string(), number - 1, count, split_no, split_count);
  return {};
}

// Opens parts 1 … count; the one at hand is opened a second time, which costs nothing but its header.
Status open_parts(const fs::path& folder, const PartName& name, uint64_t count, Checkpoint::State& state) {
  size_t n_tensors = 0;
  for (uint64_t number = 1; number <= count; ++number) {
    const fs::path path = folder / name.file(number, count);
    ATELIER_TRY(GgufFile part, open_part(path, state));
    ATELIER_CHECK_OK(check_part(path, part.metadata(), number, count));
    n_tensors += part.tensors().size();
    state.gguf_parts.push_back(std::move(part));
  }
  ATELIER_TRY(const uint64_t promised,
              uint_or(state.files.front().path(), state.gguf_parts.front().metadata(), "split.tensors.count",
                      n_tensors));
  if (promised != n_tensors)
    return fail(ErrorCode::kCorrupt, "{}: expected {} tensors in all parts (split.tensors.count), found {}",
                state.path.string(), promised, n_tensors);
  state.tensors.reserve(n_tensors);
  for (GgufFile& part : state.gguf_parts) {
    const std::vector<TensorView> tensors = part.release_tensors();
    state.tensors.insert(state.tensors.end(), tensors.begin(), tensors.end());
  }
  return {};
}

}  // namespace

Status open_gguf(const fs::path& path, Checkpoint::State& state) {
  state.dialect = Dialect::kGguf;
  ATELIER_TRY(GgufFile file, open_part(path, state));
  ATELIER_TRY(const uint64_t count, uint_or(path, file.metadata(), "split.count", 1));
  if (count <= 1) {
    state.tensors = file.release_tensors();
    state.gguf_parts.push_back(std::move(file));
  } else {
    if (count > kMaxGgufParts)
      return fail(ErrorCode::kLimit, "{}: expected at most {} parts, found {}", path.string(), kMaxGgufParts,
                  count);
    ATELIER_TRY(const uint64_t split_no, uint_or(path, file.metadata(), "split.no", UINT64_MAX));
    if (split_no >= count)
      return fail(ErrorCode::kCorrupt, "{}: expected split.no below {}, found {}", path.string(), count,
                  split_no);
    ATELIER_TRY(const PartName name, parse_part_name(path, split_no + 1, count));
    state.files.clear();
    ATELIER_CHECK_OK(open_parts(path.parent_path(), name, count, state));
  }
  const GgufMetadata& metadata = state.gguf_parts.front().metadata();
  Result<std::string_view> architecture = metadata.string_or("general.architecture", "");
  if (!architecture) return fail_in(path.string(), std::move(architecture).error());
  state.architecture = to_valid_utf8(*architecture);
  state.metadata = metadata.to_json();
  return {};
}

}  // namespace atelier
