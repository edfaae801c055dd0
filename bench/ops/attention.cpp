// How fast attention goes in prefill and in decoding, for the head shapes of real models, beside the
// machine's limits measured in the same run.
//
//   bench_attention [--threads N] [--mb N] [--rounds N] [--only NAME] [--kv 16|8] [--clock wall|cpu]
//
// Prefill is counted in float operations of the visible scores and sums (4 · k_dim-like products per query
// head, key and element) against the FMA peak; decoding in bytes of keys and values against streaming reads.
// Decoding walks over --mb of cache, layer after layer, as a model does: nothing of it stays in the
// processor's caches. Best of --rounds. `--clock cpu` counts the time this thread ran, for a machine that
// others use too; with one thread only. ATELIER_ISA lowers the instruction set.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string_view>
#include <vector>

#include "base/cpu.h"
#include "kernels/cpu/probe/fma_peak.h"
#include "kernels/cpu/probe/probe.h"
#include "ops/attention.h"

namespace {

using namespace atelier;

struct Options {
  size_t threads = 0;
  size_t megabytes = 768;
  size_t rounds = 5;
  std::string_view only;
  KvType kv = KvType::kF16;
  clockid_t clock = CLOCK_MONOTONIC;
};

struct Limits {
  double flops = 0;
  double bytes = 0;
};

struct Model {
  std::string_view name;
  size_t n_heads, kv_heads, head_dim, window;
};

constexpr Model kModels[] = {
    {"gpt2", 12, 12, 64, 0},        {"smollm2-135m", 9, 3, 64, 0},      {"llama-8b", 32, 8, 128, 0},
    {"gpt-oss full", 64, 8, 64, 0}, {"gpt-oss window", 64, 8, 64, 128},
};

double now(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class Fn>
double best_seconds(const Options& options, Fn fn) {
  double best = 1e30;
  for (size_t i = 0; i < options.rounds; ++i) {
    const double start = now(options.clock);
    fn();
    best = std::min(best, now(options.clock) - start);
  }
  return best;
}

Buffer<float> random_floats(size_t n) {
  Buffer<float> values(n);
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> few(4099);  // repeated: drawing a billion would take a minute
  for (float& v : few) v = normal(rng);
  for (size_t i = 0; i < n; ++i) values[i] = few[i % few.size()];
  return values;
}

// A layer's cache of `tokens` positions filled with values, several times over.
class Cache {
 public:
  Cache(Context& ctx, const ops::AttentionShape& shape, size_t tokens, size_t layers) : shape_(shape) {
    const size_t n_pages = (tokens + kKvPageTokens - 1) / kKvPageTokens;
    const size_t bytes = shape.kv.page_bytes();
    memory_ = Buffer<std::byte>(layers * n_pages * bytes);
    const Buffer<float> k = random_floats(tokens * shape.kv.kv_heads * shape.kv.k_dim);
    const Buffer<float> v = random_floats(tokens * shape.kv.kv_heads * shape.kv.v_dim);
    for (size_t layer = 0; layer < layers; ++layer) {
      pages_.emplace_back();
      for (size_t i = 0; i < n_pages; ++i)
        pages_.back().push_back(memory_.data() + (layer * n_pages + i) * bytes);
      const ops::AttentionSequence all = sequence(layer, 0, tokens);
      ops::kv_append(ctx, shape, k.mat(tokens, shape.kv.kv_heads * shape.kv.k_dim),
                     v.mat(tokens, shape.kv.kv_heads * shape.kv.v_dim), {&all, 1});
    }
  }
  ops::AttentionSequence sequence(size_t layer, size_t first, size_t n) const {
    return {.pages = pages_[layer], .first_page = 0, .first_row = 0, .n_rows = n, .first_position = first};
  }
  size_t layers() const { return pages_.size(); }

 private:
  ops::AttentionShape shape_;
  Buffer<std::byte> memory_;
  std::vector<std::vector<std::byte*>> pages_;
};

ops::AttentionShape shape_of(const Model& model, KvType kv) {
  ops::AttentionShape shape;
  shape.kv = {.kv_heads = model.kv_heads, .k_dim = model.head_dim, .v_dim = model.head_dim, .type = kv};
  shape.n_heads = model.n_heads;
  shape.scale = 0.125f;
  shape.window = model.window;
  return shape;
}

size_t visible(const Model& model, size_t position) {
  return model.window == 0 ? position + 1 : std::min(position + 1, model.window);
}

void prefill(Context& ctx, const Model& model, size_t depth, size_t n, const Options& options,
             const Limits& limits) {
  const ops::AttentionShape shape = shape_of(model, options.kv);
  const Cache cache(ctx, shape, depth + n, 1);
  const Buffer<float> q = random_floats(n * model.n_heads * model.head_dim);
  const Buffer<float> out(q.size());
  const size_t cols = model.n_heads * model.head_dim;
  const ops::AttentionSequence sequence = cache.sequence(0, depth, n);
  const double seconds = best_seconds(
      options, [&] { ops::attention(ctx, shape, q.mat(n, cols), {}, {&sequence, 1}, out.mat(n, cols)); });
  double keys = 0;
  for (size_t i = 0; i < n; ++i) keys += static_cast<double>(visible(model, depth + i));
  const double flops = keys * 4 * static_cast<double>(model.n_heads * model.head_dim) / seconds;
  fmt::print("| {} | prefill {} at {} | {:.3f} ms | {:.1f} GFLOP/s | {:.0f} % of FMA peak |\n", model.name, n,
             depth, seconds * 1e3, flops / 1e9, 100 * flops / limits.flops);
}

void decode(Context& ctx, const Model& model, size_t depth, const Options& options, const Limits& limits) {
  const ops::AttentionShape shape = shape_of(model, options.kv);
  const size_t layer_bytes = (depth + 64) / 64 * shape.kv.page_bytes();
  const Cache cache(ctx, shape, depth + 1, std::max<size_t>(1, (options.megabytes << 20) / layer_bytes));
  const size_t cols = model.n_heads * model.head_dim;
  const Buffer<float> q = random_floats(cols);
  const Buffer<float> out(q.size());
  const double seconds = best_seconds(options, [&] {
    for (size_t layer = 0; layer < cache.layers(); ++layer) {
      const ops::AttentionSequence sequence = cache.sequence(layer, depth, 1);
      ops::attention(ctx, shape, q.mat(1, cols), {}, {&sequence, 1}, out.mat(1, cols));
    }
  });
  const double layers = static_cast<double>(cache.layers());
  // Of a page's bytes those of the positions that are seen: values and, in 8 bits, their scales.
  const double bytes = layers * static_cast<double>(visible(model, depth)) *
                       static_cast<double>(shape.kv.page_bytes()) / static_cast<double>(kKvPageTokens);
  fmt::print("| {} | decode at {} | {:.1f} µs | {:.1f} GB/s | {:.0f} % of streaming reads |\n", model.name,
             depth, seconds / layers * 1e6, bytes / seconds / 1e9, 100 * bytes / seconds / limits.bytes);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--threads") options.threads = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--mb") options.megabytes = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--rounds") options.rounds = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--only") options.only = argv[i + 1];
    if (flag == "--kv" && std::string_view(argv[i + 1]) == "8") options.kv = KvType::k8;
    if (flag == "--clock" && std::string_view(argv[i + 1]) == "cpu") options.clock = CLOCK_THREAD_CPUTIME_ID;
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  ThreadPool pool(options.threads);
  Context ctx(pool, Numerics::kFast);
  const Limits limits{kernels::measure_fma_peak(pool),
                      kernels::measure_read_bandwidth(pool, options.megabytes << 20)};
  fmt::print("{} threads, {}: FMA peak {:.1f} GFLOP/s, streaming reads {:.1f} GB/s\n\n", pool.size(),
             isa_name(active_isa()), limits.flops / 1e9, limits.bytes / 1e9);
  fmt::print("| heads of | work | time per layer | speed | of the limit |\n|---|---|---|---|---|\n");
  for (const Model& model : kModels) {
    if (!options.only.empty() && options.only != model.name) continue;
    prefill(ctx, model, 0, 512, options, limits);
    prefill(ctx, model, 4096, 512, options, limits);
    for (const size_t depth : {128u, 1024u, 4096u, 16384u}) decode(ctx, model, depth, options, limits);
  }
}
