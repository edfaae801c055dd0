#include "agent/harness/loop_detector.h"

#include <algorithm>

namespace atelier::agent {
namespace {

// FNV-1a over length and bytes, so that parts cannot run into each other.
uint64_t mix(uint64_t hash, std::string_view part) {
  constexpr uint64_t kPrime = 0x100000001b3u;
  for (uint64_t n = part.size(), i = 0; i < 8; ++i, n >>= 8) hash = (hash ^ (n & 0xff)) * kPrime;
  for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
  return hash;
}

}  // namespace

size_t LoopDetector::count(std::string_view tool, std::string_view arguments, std::string_view result) {
  const uint64_t hash = mix(mix(mix(0xcbf29ce484222325u, tool), arguments), result);
  seen_.push_back(hash);
  if (seen_.size() > kWindow) seen_.pop_front();
  return static_cast<size_t>(std::ranges::count(seen_, hash));
}

}  // namespace atelier::agent
