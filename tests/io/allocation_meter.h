// Counts what the test program takes from operator new (all of our code and simdjson's do).
#pragma once

#include <cstddef>

namespace atelier::testing {

class AllocationMeter {
 public:
  AllocationMeter();  // starts counting from zero
  // The most that was held at once since, beyond what was held at the start.
  size_t peak_bytes() const;
};

}  // namespace atelier::testing
