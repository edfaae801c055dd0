#include "kernels/cpu/probe/probe.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace atelier::kernels {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(auto&& work) {
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Keeps a result alive without storing it anywhere.
template <class T>
void use(const T& value) {
  __asm__ volatile("" : : "g"(&value) : "memory");
}

uint64_t sum_words(const uint64_t* data, size_t n) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= n; i += 8)
    for (size_t j = 0; j < 8; ++j) sums[j] += data[i + j];
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

#if defined(__x86_64__)

// Operations done by one call of a peak loop.
struct Peak {
  double ops;
  void (*loop)();
};

constexpr int kRounds = 2'000'000;

__attribute__((target("avx512f"))) uint64_t sum_avx512(const uint64_t* data, size_t n) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (size_t i = 0; i + 32 <= n; i += 32) {
    a = _mm512_add_epi64(a, _mm512_loadu_si512(data + i));
    b = _mm512_add_epi64(b, _mm512_loadu_si512(data + i + 8));
    c = _mm512_add_epi64(c, _mm512_loadu_si512(data + i + 16));
    d = _mm512_add_epi64(d, _mm512_loadu_si512(data + i + 24));
  }
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, _mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum += lane;
  return sum;
}

// Twelve independent accumulators hide the latency of five cycles at two instructions a cycle.
__attribute__((target("avx512f,avx512vnni"))) void peak_vnni() {
  const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(1);
  __m512i acc[12];
  for (__m512i& a : acc) a = _mm512_setzero_si512();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (__m512i& a : acc) a = _mm512_dpbusd_epi32(a, x, y);
    __asm__ volatile("" : : : "memory");
  }
  use(acc);
}

__attribute__((target("avx2"))) void peak_avx2() {
  const __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
  __m256i acc[8];
  for (__m256i& a : acc) a = _mm256_setzero_si256();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 8
    for (__m256i& a : acc) {
      __m256i left = x;
      __asm__ volatile("" : "+x"(left));  // or the product is hoisted out of the loop
      a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(left, y), ones));
    }
  }
  use(acc);
}

struct __attribute__((packed)) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

__attribute__((target("amx-tile,amx-int8"))) void peak_amx() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int i = 0; i < kRounds; ++i) {
    _tile_dpbsud(0, 4, 6);
    _tile_dpbsud(1, 5, 6);
    _tile_dpbsud(2, 4, 7);
    _tile_dpbsud(3, 5, 7);
  }
  _tile_release();
}

Peak peak_loop() {
  const Isa isa = active_isa();
  constexpr double kTileOps = 16.0 * 16 * 64 * 2;
  if (isa >= Isa::kAmx) return {kRounds * 4.0 * kTileOps, peak_amx};
  if (isa >= Isa::kAvx512) return {kRounds * 12.0 * 128, peak_vnni};
  if (isa >= Isa::kAvx2) return {kRounds * 8.0 * 64, peak_avx2};
  return {0, nullptr};
}

uint64_t sum_range(const uint64_t* data, size_t n) {
  return active_isa() >= Isa::kAvx512 ? sum_avx512(data, n) : sum_words(data, n);
}

#else

struct Peak {
  double ops;
  void (*loop)();
};
Peak peak_loop() { return {0, nullptr}; }
uint64_t sum_range(const uint64_t* data, size_t n) { return sum_words(data, n); }

#endif

}  // namespace

double measure_read_bandwidth(ThreadPool& pool, size_t buffer_bytes) {
  const size_t words = buffer_bytes / sizeof(uint64_t) / pool.size();  // per thread
  Buffer<uint64_t> buffer(words * pool.size());
  pool.run(pool.size(), [&](size_t task, size_t) {
    for (size_t i = 0; i < words; ++i) buffer[task * words + i] = i;
  });
  double best = 0;
  constexpr int kPasses = 4;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = seconds_of([&] {
      pool.run(pool.size(),
               [&](size_t task, size_t) { use(sum_range(buffer.data() + task * words, words)); });
    });
    best = std::max(best, static_cast<double>(words * pool.size() * sizeof(uint64_t)) / seconds);
  }
  return best;
}

double measure_int8_peak(ThreadPool& pool) {
  const Peak peak = peak_loop();
  if (peak.loop == nullptr) return 0;
  double best = 0;
  constexpr int kPasses = 3;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = seconds_of([&] { pool.run(pool.size(), [&](size_t, size_t) { peak.loop(); }); });
    best = std::max(best, peak.ops * static_cast<double>(pool.size()) / seconds);
  }
  return best;
}

}  // namespace atelier::kernels
