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

// Metadata of a GGUF file and of a config.json alike, as one JSON object. GGUF keys stay as they are
// ("llama.block_count"); arrays become JSON arrays, except the large tokenizer arrays, which the GGUF reader
// keeps apart.
class Checkpoint {
 public:
  // `path`: a .gguf (any part of a split one), a .safetensors file, or a folder holding config.json and
  // weights. Errors: kNotFound, kCorrupt (names file, offset, what was expected and found), kUnsupported.
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

  // config.json for kHf/kOriginal; the GGUF key-value pairs without tokenizer arrays for kGguf.
  const nlohmann::json& metadata() const;
  // Side files of a folder, parsed; nullptr where the file is absent (always for GGUF).
  const nlohmann::json* generation_config() const;
  const nlohmann::json* tokenizer_config() const;
  // Folder that holds tokenizer.json; empty for GGUF.
  std::filesystem::path tokenizer_json() const;

  uint64_t total_tensor_bytes() const;
  // GGUF only: the typed key-value section, for the tokenizer and `show`; nullptr otherwise.
  const class GgufMetadata* gguf() const;

  // The files mapped, in order; fetches `bytes` of a view ahead (madvise) when asked.
  std::vector<std::filesystem::path> files() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace atelier
