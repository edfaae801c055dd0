#include "models/blocks/attention_windows.h"

namespace atelier {

std::vector<size_t> periodic_windows(size_t n_layers, size_t window, size_t period) {
  std::vector<size_t> windows(n_layers, window);
  for (size_t i = period - 1; i < n_layers; i += period) windows[i] = 0;
  return windows;
}

Result<std::vector<size_t>> windows_from_layer_types(const ConfigReader& config, size_t n_layers,
                                                     size_t window, std::vector<size_t> otherwise) {
  ATELIER_TRY(const std::vector<std::string> types, config.texts("layer_types"));
  if (types.empty()) return otherwise;
  if (types.size() != n_layers)
    return fail(ErrorCode::kCorrupt, "configuration: layer_types: expected {} entries, found {}", n_layers,
                types.size());
  std::vector<size_t> windows;
  for (const std::string& type : types) {
    if (type != "sliding_attention" && type != "full_attention")
      return fail(ErrorCode::kUnsupported,
                  "configuration: layer_types: expected sliding_attention or full_attention, found '{}'",
                  type);
    windows.push_back(type == "sliding_attention" ? window : 0);
  }
  return windows;
}

}  // namespace atelier
