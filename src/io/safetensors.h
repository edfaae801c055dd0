// safetensors: an 8-byte little-endian header length, a JSON header, then the tensors without gaps.
// Source: github.com/huggingface/safetensors, README.md ("Format").
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/names.h"
#include "io/tensor_view.h"

namespace atelier {

class JsonReader;

// Longer headers are refused with kLimit: room for some 120,000 tensors in one file.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 16u << 20;

// One file, checked completely: JSON and its fields, dtypes, shapes against byte counts, unique names; the
// tensors cover the data section exactly, without gap or overlap.
class SafetensorsFile {
 public:
  // `bytes` must outlive the views; `name` stands in front of error messages. Errors: kCorrupt, kUnsupported
  // (dtypes we do not know, rank > kMaxRank), kLimit.
  static Result<SafetensorsFile> parse(std::span<const std::byte> bytes, std::string_view name);

  std::span<const TensorView> tensors() const { return tensors_; }  // sorted by name
  // The views go to the caller; their names still live in this object.
  std::vector<TensorView> release_tensors() { return std::move(tensors_); }

 private:
  static Result<SafetensorsFile> parse_unnamed(std::span<const std::byte> bytes);

  NameArena names_;
  std::vector<TensorView> tensors_;
};

// `model.safetensors.index.json`: which shard holds which tensor.
class SafetensorsIndex {
 public:
  static Result<SafetensorsIndex> parse(std::string_view text, std::string_view name);

  // Plain file names (no separators), each once, in the order of their first mention.
  const std::vector<std::string>& shards() const { return shards_; }
  // Which tensor lies in which of shards(), in the file's order.
  struct Entry {
    std::string_view tensor;
    uint32_t shard;
  };
  std::span<const Entry> entries() const { return entries_; }

  static constexpr size_t kMaxShards = 1'024;
  static constexpr size_t kMaxBytes = 16u << 20;

 private:
  static Result<SafetensorsIndex> parse_unnamed(std::string_view text);
  Status read_map(JsonReader& in);

  NameArena names_;
  std::vector<Entry> entries_;
  std::vector<std::string> shards_;
};

}  // namespace atelier
