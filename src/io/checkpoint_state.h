// What an open Checkpoint holds, and the two ways of filling it. For io/checkpoint*.cpp only.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/gguf.h"
#include "io/safetensors.h"

namespace atelier {

struct Checkpoint::State {
  std::filesystem::path path;
  Dialect dialect = Dialect::kGguf;
  std::string architecture;
  std::vector<MappedFile> files;
  // Parsed files own the names the tensors point to; their bytes lie in `files`.
  std::vector<GgufFile> gguf_parts;
  std::vector<SafetensorsFile> safetensors;
  std::vector<TensorView> tensors;  // sorted once all are there
  uint64_t total_bytes = 0;
  nlohmann::json metadata = nlohmann::json::object();
  std::optional<nlohmann::json> generation_config;
  std::optional<nlohmann::json> tokenizer_config;
  std::filesystem::path tokenizer_folder;
};

// Tells files and folders apart and fills `state`.
Status open_checkpoint(const std::filesystem::path& path, Checkpoint::State& state);

// `path`: one GGUF file, or any part of a split one.
Status open_gguf(const std::filesystem::path& path, Checkpoint::State& state);

}  // namespace atelier
