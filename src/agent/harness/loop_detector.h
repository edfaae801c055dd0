// Notices a model that goes round in circles: the same call with the same result, again and again.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>

namespace atelier::agent {

class LoopDetector {
 public:
  static constexpr size_t kWindow = 10;  // calls looked back
  static constexpr size_t kWarn = 3;     // the same this often: the model is told
  static constexpr size_t kCut = 5;      // the turn is ended

  // How often this very call had this very result within the window, this time included.
  size_t count(std::string_view tool, std::string_view arguments, std::string_view result);
  void reset() { seen_.clear(); }

 private:
  std::deque<uint64_t> seen_;
};

}  // namespace atelier::agent
