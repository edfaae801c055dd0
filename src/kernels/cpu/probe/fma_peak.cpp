#include "kernels/cpu/probe/fma_peak.h"

#include <algorithm>
#include <chrono>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/probe/fma_peak.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

constexpr size_t kChains = 12;  // × 4 cycles of latency on 2 ports: never waiting; fits 16 registers

// Operations done: 2 · kChains · kLanes a round. Returns something that depends on all of them.
float fma_rounds(size_t rounds) {
  const Floats d;
  const auto factor = hn::Set(d, 0.999f), term = hn::Set(d, 0.001f);
  VecF acc[kChains];
  ATELIER_UNROLL
  for (size_t i = 0; i < kChains; ++i) acc[i] = hn::Set(d, static_cast<float>(i));
  for (size_t round = 0; round < rounds; ++round) {
    ATELIER_UNROLL
    for (size_t i = 0; i < kChains; ++i) acc[i] = hn::MulAdd(acc[i], factor, term);
  }
  auto sum = acc[0];
  ATELIER_UNROLL
  for (size_t i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(sum);
}

double fma_ops(size_t rounds) {
  return 2.0 * static_cast<double>(kChains * kLanes) * static_cast<double>(rounds);
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

double measure_fma_peak(ThreadPool& pool) {
  constexpr size_t kRounds = 2'000'000;  // some 10 ms
  constexpr int kPasses = 5;
  const auto rounds = ATELIER_SIMD(fma_rounds);
  const double ops = ATELIER_SIMD(fma_ops)(kRounds) * static_cast<double>(pool.size());
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(pool.size(), [&](size_t, size_t) {
      const float sum = rounds(kRounds);
      __asm__ volatile("" : : "g"(&sum) : "memory");  // keeps the result, and so the loop, alive
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, ops / seconds.count());
  }
  return best;
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
