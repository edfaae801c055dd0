// How fast weights are packed, read for few tokens and multiplied for many, per layout, beside the machine's
// limits measured in the same run.
//
//   bench_matmul [--threads N] [--mb N] [--only NAME] [--rounds N] [--numerics fast]
//
// GEMV columns are bytes of packed weights per second (the matrix is larger than the caches), GEMM columns
// integer or float operations per second at 512 tokens. Best of --rounds. ATELIER_ISA lowers the instruction
// set.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "formats/dtype.h"
#include "formats/encode.h"
#include "kernels/cpu/matmul/packed.h"
#include "kernels/cpu/probe/probe.h"
#include "ops/linear.h"

namespace {

using namespace atelier;

// Seconds. On one thread its processor time, so that other programs on the machine count less.
double now(const ThreadPool& pool) {
  timespec t{};
  clock_gettime(pool.size() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Options {
  size_t threads = 0;
  size_t megabytes = 512;
  size_t rounds = 5;
  std::string only;
  Numerics numerics = Numerics::kFastest;
};

template <class Fn>
double best_seconds(const ThreadPool& pool, size_t rounds, Fn fn) {
  double best = 1e30;
  for (size_t i = 0; i < rounds; ++i) {
    const double start = now(pool);
    fn();
    best = std::min(best, now(pool) - start);
  }
  return best;
}

// 64 random rows, over and over: pointed at, which packing makes a matrix of any size of; or standing one
// behind the other, as in a file, where MXFP4 and Q8_0 are used in place.
class Rows {
 public:
  Rows(DType dtype, size_t cols, size_t n, bool in_file) : dtype_(dtype), cols_(cols) {
    constexpr size_t kDistinct = 64;
    const size_t bytes = row_bytes(dtype, cols).value();
    data_.resize((in_file ? std::max(n, kDistinct) : kDistinct) * bytes);
    std::mt19937 rng(1);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> values(cols);
    for (size_t r = 0; r < kDistinct; ++r) {
      const std::span<std::byte> row(data_.data() + r * bytes, bytes);
      for (float& v : values) v = normal(rng);
      if (can_encode(dtype)) {
        encode_row(dtype, values, row);
      } else {
        for (std::byte& b : row) b = static_cast<std::byte>(rng() & 0x2fu);  // no infinite scale anywhere
      }
    }
    for (size_t r = kDistinct; in_file && r < n; ++r)
      std::copy_n(data_.data() + r % kDistinct * bytes, bytes, data_.data() + r * bytes);
    for (size_t r = 0; r < n; ++r)
      rows_.push_back({data_.data() + (in_file ? r : r % kDistinct) * bytes, nullptr});
  }
  WeightSource source() const { return {dtype_, cols_, rows_}; }

 private:
  DType dtype_;
  size_t cols_;
  std::vector<std::byte> data_;
  std::vector<EncodedRow> rows_;
};

std::vector<float> random_values(size_t n) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

void measure(DType dtype, bool in_file, const Options& options, ThreadPool& pool, double bandwidth,
             double int8_peak) {
  constexpr size_t kCols = 4096, kGemmRows = 2048, kGemmTokens = 512;
  Context ctx(pool, options.numerics);
  const size_t panel_bytes = packed_panel_bytes(packed_format(dtype).layout, kCols);
  const size_t n_rows = std::max<size_t>(1, (options.megabytes << 20) / panel_bytes) * kPanelRows;
  const std::vector<float> values = random_values(kGemmTokens * kCols);

  const Rows rows(dtype, kCols, n_rows, in_file);
  Weight weight(rows.source());
  const double pack = best_seconds(pool, 1, [&] { weight.pack(pool); });
  const double bytes = static_cast<double>(weight.streamed_bytes());
  fmt::print("{:8}{:6.2f}{:8.2f} ", in_file ? "in place" : dtype_info(dtype).name,
             bytes * 8 / static_cast<double>(n_rows * kCols), bytes * 1e-9 / pack);
  for (const size_t m : std::initializer_list<size_t>{1, 2, 4, 8}) {
    const MatView<const float> x(values.data(), m, kCols);
    std::vector<float> out(m * n_rows);
    const double seconds =
        best_seconds(pool, options.rounds, [&] { ops::linear(ctx, x, weight, {}, {out.data(), m, n_rows}); });
    fmt::print("{:8.1f}", bytes * 1e-9 / seconds);
    if (m == 1) fmt::print(" ({:.2f})", bytes / seconds / bandwidth);
  }

  const Rows gemm_rows(dtype, kCols, kGemmRows, in_file);
  Weight gemm_weight(gemm_rows.source());
  gemm_weight.pack(pool);
  for (const size_t m : std::initializer_list<size_t>{16, 64, 128, kGemmTokens}) {
    ctx.begin_pass(Context::kFewTokens + m);
    const MatView<const float> x(values.data(), m, kCols);
    std::vector<float> out(m * kGemmRows);
    const double seconds = best_seconds(
        pool, options.rounds, [&] { ops::linear(ctx, x, gemm_weight, {}, {out.data(), m, kGemmRows}); });
    const double rate = 2.0 * static_cast<double>(m * kCols * kGemmRows) / seconds;
    fmt::print("{:8.0f}", rate * 1e-9);
    if (m == kGemmTokens) fmt::print(" ({:.2f})", rate / int8_peak);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--threads") options.threads = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--mb") options.megabytes = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--rounds") options.rounds = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--only") options.only = argv[i + 1];
    if (flag == "--numerics" && argv[i + 1] == std::string("fast")) options.numerics = Numerics::kFast;
  }
  ThreadPool pool(options.threads);
  const double bandwidth = kernels::measure_read_bandwidth(pool, options.megabytes << 20);
  const double int8_peak = kernels::measure_int8_peak(pool);
  fmt::print("{} threads, {}: read {:.1f} GB/s, int8 peak {:.0f} Gop/s\n", pool.size(),
             isa_name(active_isa()), bandwidth * 1e-9, int8_peak * 1e-9);
  fmt::print("{:8}{:>6}{:>8} {:>8}       {:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "format", "bits", "pack",
             "1 tok", "2", "4", "8", "16 tok", "64", "128", "512");
  for (const DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kMXFP4, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
        DType::kQ5_0, DType::kQ5_1, DType::kIQ4_NL, DType::kIQ4_XS, DType::kQ2_K, DType::kQ3_K, DType::kBF16,
        DType::kF16, DType::kF32})
    if (options.only.empty() || options.only == dtype_info(dtype).name)
      measure(dtype, false, options, pool, bandwidth, int8_peak);
  for (const DType dtype : {DType::kMXFP4, DType::kQ8_0})
    if (options.only.empty() || options.only == dtype_info(dtype).name)
      measure(dtype, true, options, pool, bandwidth, int8_peak);
  return 0;
}
