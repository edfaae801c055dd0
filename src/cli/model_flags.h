// Flags shared by all commands that load a model, and the loading itself.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace atelier::cli {

struct ModelFlags {
  std::string model;  // empty: the default model
  size_t threads = 0;
  size_t context = 0;
  bool reference = false;
  bool deterministic = false;
  bool mmap_anyway = false;

  // -m, --threads, --ctx, --reference, --deterministic, --mmap-anyway. `required`: there is no default model.
  void add_to(CLI::App& command, bool required);
};

// Resolves the name (fetching the starter model if it is the one), loads and packs.
Result<std::unique_ptr<Engine>> load_engine(const ModelFlags& flags, const Globals& globals);
// The path behind -m, for commands that need no engine.
Result<std::filesystem::path> locate(const std::string& model, const Globals& globals);

struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, typical_p;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<size_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;

  void add_to(CLI::App& command);
  // The model's published recommendation, overridden by what was given; a random seed if none was.
  SamplerOptions resolve(SamplerOptions recommended) const;
};

}  // namespace atelier::cli
