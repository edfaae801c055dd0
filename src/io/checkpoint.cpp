#include "io/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/checkpoint_state.h"
#include "io/names.h"

namespace atelier {

std::string_view dialect_name(Dialect dialect) {
  switch (dialect) {
    case Dialect::kGguf:
      return "gguf";
    case Dialect::kHf:
      return "hf";
    case Dialect::kOriginal:
      return "original";
  }
  return "unknown";
}

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  ATELIER_CHECK_OK(open_checkpoint(path, *state));
  Status sorted = sort_by_name(state->tensors);
  if (!sorted) return fail_in(path.string(), std::move(sorted).error());
  for (const TensorView& tensor : state->tensors) state->total_bytes += tensor.bytes.size();
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Dialect Checkpoint::dialect() const { return state_->dialect; }
const std::filesystem::path& Checkpoint::path() const { return state_->path; }
std::string_view Checkpoint::architecture() const { return state_->architecture; }
std::span<const TensorView> Checkpoint::tensors() const { return state_->tensors; }

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto at = std::lower_bound(state_->tensors.begin(), state_->tensors.end(), name,
                                   [](const TensorView& t, std::string_view n) { return t.name < n; });
  return at != state_->tensors.end() && at->name == name ? &*at : nullptr;
}

const nlohmann::json& Checkpoint::metadata() const { return state_->metadata; }
const nlohmann::json* Checkpoint::generation_config() const {
  return state_->generation_config ? &*state_->generation_config : nullptr;
}
const nlohmann::json* Checkpoint::tokenizer_config() const {
  return state_->tokenizer_config ? &*state_->tokenizer_config : nullptr;
}
std::filesystem::path Checkpoint::tokenizer_json() const { return state_->tokenizer_folder; }

uint64_t Checkpoint::total_tensor_bytes() const { return state_->total_bytes; }

const GgufMetadata* Checkpoint::gguf() const {
  return state_->gguf_parts.empty() ? nullptr : &state_->gguf_parts.front().metadata();
}

std::vector<std::filesystem::path> Checkpoint::files() const {
  std::vector<std::filesystem::path> paths;
  for (const MappedFile& file : state_->files) paths.push_back(file.path());
  return paths;
}

Status Checkpoint::check_files() const {
  for (const MappedFile& file : state_->files) ATELIER_CHECK_OK(file.check());
  return {};
}

}  // namespace atelier
