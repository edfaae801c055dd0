// Flags shared by all commands that load a model, and the loading itself.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "engine/engine.h"
#include "engine/sampler_choice.h"

namespace atelier::cli {

struct ModelFlags {
  std::string model;  // empty: the default model
  size_t threads = 0;
  bool pin = false;
  size_t context = 0;
  bool reference = false;
  bool deterministic = false;
  bool mmap_anyway = false;
  bool no_speculation = false;
  bool no_pack_cache = false;
  std::string dense = "published";  // or "q8"
  size_t kv_bits = 16;              // or 8

  // -m, --threads, --pin, --ctx, --reference, --deterministic, --mmap-anyway, --dense, --kv,
  // --no-speculation, --no-pack-cache.
  // `required`: there is no default model.
  void add_to(CLI::App& command, bool required);
  void add_load_flags(CLI::App& command);  // all but -m
};

// Resolves the name (fetching the starter model if it is the one), loads and packs.
Result<std::unique_ptr<Engine>> load_engine(const ModelFlags& flags, const Globals& globals);
// Where packed weights are kept from run to run; empty where there is no place for them.
std::filesystem::path weight_cache_folder();
// The path behind -m, for commands that need no engine.
Result<std::filesystem::path> locate(const std::string& model, const Globals& globals);

struct SamplingFlags {
  SamplerChoice choice;
  std::vector<std::string> stop;

  void add_to(CLI::App& command);
  // The model's published recommendation, overridden by what was given; a random seed if none was.
  SamplerOptions resolve(SamplerOptions recommended) const { return choice.over(std::move(recommended)); }

 private:
  void add_penalties_to(CLI::App& command);
  void add_alternatives_to(CLI::App& command);  // DRY, XTC, mirostat
};

}  // namespace atelier::cli
