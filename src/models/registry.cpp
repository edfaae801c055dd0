#include "models/registry.h"

#include <algorithm>
#include <array>

#include "models/gemma3.h"
#include "models/gpt2.h"
#include "models/gpt_oss.h"
#include "models/llama.h"
#include "models/qwen.h"
#include "models/synth_plan.h"

namespace atelier {
namespace {

constexpr std::array kArchitectures = {
    Architecture{"llama", load_llama, synth_llama},    Architecture{"gpt-oss", load_gpt_oss, synth_gpt_oss},
    Architecture{"gpt_oss", load_gpt_oss, nullptr},  // in config.json
    Architecture{"gpt2", load_gpt2, synth_gpt2},       Architecture{"qwen2", load_qwen, nullptr},
    Architecture{"qwen3", load_qwen, nullptr},         Architecture{"gemma3", load_gemma3, nullptr},
    Architecture{"gemma3_text", load_gemma3, nullptr},  // in config.json
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

bool is_model_architecture(std::string_view name) {
  std::string dashed(name);
  std::ranges::replace(dashed, '_', '-');
  return std::ranges::any_of(model_architectures(),
                             [&](std::string_view known) { return known == name || known == dashed; });
}

std::vector<std::string_view> model_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : kArchitectures) names.push_back(architecture.name);
  return names;
}

Result<std::unique_ptr<Model>> load_model(std::shared_ptr<const Checkpoint> checkpoint,
                                          const LoadOptions& options) {
  for (const Architecture& architecture : kArchitectures)
    if (architecture.name == checkpoint->architecture())
      return architecture.load(std::move(checkpoint), options);
  return fail(ErrorCode::kUnsupported, "{}: architecture: expected one of {}, found '{}'",
              checkpoint->path().string(), fmt::join(model_architectures(), ", "),
              checkpoint->architecture());
}

}  // namespace atelier
