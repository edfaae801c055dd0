// Rules for names that come out of files, for every container.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/tensor_view.h"

namespace atelier {

// Whether a key or tensor name may be used and shown: not empty, valid UTF-8, no control characters.
bool is_clean_name(std::string_view name);

// `name` cut to 80 bytes with everything unprintable replaced, for messages about names that are not clean.
std::string shown(std::string_view name);

// Owns copies of names. Mapped bytes may change under us; names must not, once they were checked and sorted.
class NameArena {
 public:
  // The copy stays where it is for the life of the arena, wherever that is moved to.
  std::string_view keep(std::string_view name);

 private:
  static constexpr size_t kChunkBytes = 64 << 10;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t used_ = kChunkBytes;  // of the last chunk
};

// Sorts by name; fails with kCorrupt, naming it, where two are alike.
Status sort_by_name(std::vector<TensorView>& tensors);

}  // namespace atelier
