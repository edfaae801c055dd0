// What rendering one template may cost. A template is untrusted input: it may loop, recurse and double
// strings.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace atelier::chat::jinja {

struct RenderLimits {
  uint64_t steps = uint64_t{16} << 20;  // one per node evaluated, per element and per 16 bytes made or read
  size_t output_bytes = size_t{64} << 20;
  int64_t range_items = 100'000;  // of one range(), as Jinja's sandbox has it
  int depth = 512;                // nested evaluations, macro calls included; under 1 KiB of stack each
};

// For everything made that takes some 100 bytes: a text, an entry of a dict, a scope. With it, what one
// rendering holds at a time stays below about 300 MB however a template goes about it.
inline constexpr uint64_t kStepsPerObject = 8;

// Values nested deeper are refused when they are made, so that every walk over a value is bounded.
inline constexpr int kMaxValueDepth = 160;

class Budget {
 public:
  explicit Budget(uint64_t steps) : limit_(steps), left_(steps) {}

  Status spend(uint64_t steps) {
    if (steps <= left_) {
      left_ -= steps;
      return {};
    }
    left_ = 0;
    return fail(ErrorCode::kLimit, "expected at most {} steps, found more", limit_);
  }
  Status spend_bytes(uint64_t bytes) { return spend(1 + bytes / 16); }
  uint64_t spent() const { return limit_ - left_; }

 private:
  uint64_t limit_;
  uint64_t left_;
};

}  // namespace atelier::chat::jinja
