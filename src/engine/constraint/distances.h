// How far it is to the end: the fewest bytes that complete a text.
#pragma once

#include <string>
#include <vector>

#include "engine/constraint/config_store.h"

namespace atelier::constraint {

class Distances {
 public:
  // Looks at all states of the grammar. The store must outlive it.
  explicit Distances(ConfigStore& store);

  // A shortest text after which the configuration accepts; empty where it does, or is dead.
  std::string shortest_way(ConfigId config);

 private:
  uint32_t of(ConfigId config);
  uint32_t of_stack(StackId stack);

  ConfigStore& store_;
  std::vector<uint32_t> states_;  // to the end of the state's rule
  std::vector<uint32_t> stacks_;  // as far as they are known
};

}  // namespace atelier::constraint
