// Typed, bounded access to a configuration: config.json or the key-value section of a GGUF file.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

// Bounds on every size a configuration may state: far beyond any published model, small enough that products
// of three of them fit 64 bits.
inline constexpr uint64_t kMaxDim = uint64_t{1} << 20;
inline constexpr uint64_t kMaxVocab = uint64_t{1} << 24;
inline constexpr uint64_t kMaxLayers = 1024;
inline constexpr uint64_t kMaxExperts = 4096;

class ConfigReader {
 public:
  // `prefix` is put in front of every key ("llama." for GGUF).
  ConfigReader(const nlohmann::json& object, std::string prefix)
      : object_(&object), prefix_(std::move(prefix)) {}

  bool has(std::string_view key) const;                             // present and not null
  Result<uint64_t> size(std::string_view key, uint64_t max) const;  // an integer in [1, max]
  Result<uint64_t> size_or(std::string_view key, uint64_t max, uint64_t fallback) const;
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  // An integer or a list of them (eos_token_id is published both ways); empty if absent.
  Result<std::vector<int32_t>> ids(std::string_view key) const;
  // A list of strings ("layer_types"); empty if absent.
  Result<std::vector<std::string>> texts(std::string_view key) const;
  // A nested object ("rope_scaling"), or nothing if absent or null.
  std::optional<ConfigReader> object(std::string_view key) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  tl::unexpected<Error> wrong(std::string_view key, std::string_view expected) const;
  const nlohmann::json* object_;
  std::string prefix_;
};

}  // namespace atelier
