// One view of a published checkpoint, whatever container it came in: named tensors, metadata, nothing copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/tensor_view.h"

namespace atelier {

// Which naming and packing convention the tensors follow.
enum class Dialect {
  kGguf,      // GGUF v2/v3, one file or split
  kHf,        // Hugging Face: config.json, model*.safetensors
  kOriginal,  // the publisher's own layout: OpenAI's `original/` (config.json, dtypes.json), Meta's
              // params.json
};
std::string_view dialect_name(Dialect dialect);  // "gguf", "hf", "original"

// An opened checkpoint. Everything it gives out views its mapped files and lives as long as it does.
//
// Files it takes, with `path` naming
//   a GGUF file (by its first four bytes), or any part of a split one: all parts NAME-00001-of-0000N.gguf are
//   opened; a .safetensors file: side files are looked for beside it; a folder with config.json and
//   model.safetensors.index.json, or model.safetensors, or model*.safetensors; a folder in OpenAI's
//   `original/` layout: as above, config.json without model_type; a folder with params.json and
//   consolidated*.safetensors (Meta's names); a folder without any of these and one GGUF model.
class Checkpoint {
 public:
  struct State;  // for io/checkpoint*.cpp only

  // Errors: kNotFound, kCorrupt (names file, place, what was expected and found), kUnsupported, kLimit, kIo.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  Dialect dialect() const;
  const std::filesystem::path& path() const;
  // "llama", "gpt-oss", …: general.architecture in GGUF, model_type in config.json (underscores kept as
  // published).
  std::string_view architecture() const;

  std::span<const TensorView> tensors() const;  // sorted by name
  const TensorView* find(std::string_view name) const;

  // Hyper-parameters as one JSON object: config.json or params.json as published (empty where a lone
  // .safetensors has none beside it); for GGUF GgufMetadata::to_json().
  const nlohmann::json& metadata() const;
  // generation_config.json and tokenizer_config.json, parsed; nullptr where absent (always for GGUF).
  const nlohmann::json* generation_config() const;
  const nlohmann::json* tokenizer_config() const;
  // Folder that holds tokenizer.json; empty for GGUF.
  std::filesystem::path tokenizer_json() const;

  uint64_t total_tensor_bytes() const;
  // GGUF only: the typed key-value section, for the tokenizer and `show`; nullptr otherwise.
  const class GgufMetadata* gguf() const;

  // The files mapped, in order.
  std::vector<std::filesystem::path> files() const;
  // Whether the files still hold what was opened: kIo where one was truncated, overwritten or removed since,
  // or could not be read. Reading such a tensor is safe (MappedFile::check says what it yields), but means
  // nothing. One system call per file.
  Status check_files() const;

 private:
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace atelier
