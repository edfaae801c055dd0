// Rules for names that come out of files, for every container.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/tensor_view.h"

namespace atelier {

// Whether a key or tensor name may be used and shown: not empty, valid UTF-8, no control characters.
bool is_clean_name(std::string_view name);

// `name` cut to 80 bytes with everything unprintable replaced, for messages about names that are not clean.
std::string shown(std::string_view name);

// Sorts by name; fails with kCorrupt, naming it, where two are alike.
Status sort_by_name(std::vector<TensorView>& tensors);

}  // namespace atelier
