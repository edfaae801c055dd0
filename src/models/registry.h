// The list of architectures: a line each.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "models/model.h"

namespace atelier {

struct SynthArchitecture;

struct Architecture {
  std::string_view name;  // value of general.architecture or model_type
  Result<std::unique_ptr<Model>> (*load)(std::shared_ptr<const Checkpoint>, const LoadOptions&);
  const SynthArchitecture& (
      *synth)();  // how random checkpoints of it are made; null: not at all, or under another name
};

std::span<const Architecture> architectures();

// Whether `name` is that of one of them; files write it with '-' or '_'.
bool is_model_architecture(std::string_view name);

}  // namespace atelier
