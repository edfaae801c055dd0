// Which layers of a model see everything and which only a window.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "models/config_reader.h"

namespace atelier {

// Windows by layer ([n_layers]; 0: the layer sees everything) where every `period`-th layer sees everything
// and the others the last `window` keys: period 2 slides on layers 0, 2, …; 6 on all but 5, 11, …
std::vector<size_t> periodic_windows(size_t n_layers, size_t window, size_t period);

// From `layer_types` of a config.json (sliding_attention, full_attention), or `otherwise` where it has none.
Result<std::vector<size_t>> windows_from_layer_types(const ConfigReader& config, size_t n_layers,
                                                     size_t window, std::vector<size_t> otherwise);

}  // namespace atelier
