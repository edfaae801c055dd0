#include "ops/elementwise.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cpu/activation/activation.h"
#include "kernels/cpu/norm/norm.h"
#include "kernels/cpu/residual/residual.h"
#include "kernels/cpu/rope/rope.h"
#include "kernels/cpu/top_k/top_k.h"

namespace atelier::ops {
namespace {

// A fork-join costs about 2 µs, in which one core streams 10,000 floats through an add and puts 4,000 through
// an exp. Below twice that, one thread is faster: decoding runs everything here inline.
constexpr size_t kStreamElemsPerTask = 16384;
constexpr size_t kExpElemsPerTask = 8192;

// fn(first_row, n_rows) over all rows, in parallel where the work is worth it. Rows are independent, so the
// split does not show in the results.
template <class Fn>
void for_rows(Context& ctx, size_t rows, size_t cols, size_t elems_per_task, Fn fn) {
  const size_t rows_per_task = std::max<size_t>(1, elems_per_task / std::max<size_t>(1, cols));
  const size_t n_tasks = ceil_div(rows, rows_per_task);
  if (n_tasks <= 1) return fn(size_t{0}, rows);
  ctx.pool().run(n_tasks, [&](size_t task, size_t) {
    const size_t first = task * rows_per_task;
    fn(first, std::min(rows_per_task, rows - first));
  });
}

void check_same_shape(MatView<const float> a, MatView<const float> b) {
  ATELIER_CHECK(a.rows == b.rows && a.cols == b.cols);
}

}  // namespace

void rms_norm(Context& ctx, MatView<const float> x, std::span<const float> weight, float eps,
              MatView<float> out) {
  check_same_shape(x, out);
  ATELIER_CHECK(weight.size() == x.cols);
  const auto kernel = ctx.is_reference() ? kernels::rms_norm_ref : kernels::rms_norm;
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask, [&](size_t first, size_t n) {
    kernel(x.row_range(first, n), weight, eps, out.row_range(first, n));
  });
}

void add_rms_norm(Context& ctx, MatView<float> x, MatView<const float> y, std::span<const float> weight,
                  float eps, MatView<float> out) {
  if (ctx.is_reference()) {
    add(ctx, x, y);
    return rms_norm(ctx, x, weight, eps, out);
  }
  check_same_shape(x, y);
  check_same_shape(x, out);
  ATELIER_CHECK(weight.size() == x.cols);
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask, [&](size_t first, size_t n) {
    kernels::add_rms_norm(x.row_range(first, n), y.row_range(first, n), weight, eps, out.row_range(first, n));
  });
}

void layer_norm(Context& ctx, MatView<const float> x, std::span<const float> weight,
                std::span<const float> bias, float eps, MatView<float> out) {
  check_same_shape(x, out);
  ATELIER_CHECK(weight.size() == x.cols && bias.size() == x.cols);
  const auto kernel = ctx.is_reference() ? kernels::layer_norm_ref : kernels::layer_norm;
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask, [&](size_t first, size_t n) {
    kernel(x.row_range(first, n), weight, bias, eps, out.row_range(first, n));
  });
}

void add(Context& ctx, MatView<float> x, MatView<const float> y) {
  check_same_shape(x, y);
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask,
           [&](size_t first, size_t n) { kernels::add(x.row_range(first, n), y.row_range(first, n)); });
}

void add_scaled(Context& ctx, MatView<float> x, std::span<const float> weights, MatView<const float> y) {
  check_same_shape(x, y);
  ATELIER_CHECK(weights.size() == x.rows);
  const auto kernel = ctx.is_reference() ? kernels::add_scaled_ref : kernels::add_scaled;
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask, [&](size_t first, size_t n) {
    kernel(x.row_range(first, n), weights.subspan(first, n), y.row_range(first, n));
  });
}

void add_bias(Context& ctx, MatView<float> x, std::span<const float> bias) {
  ATELIER_CHECK(bias.size() == x.cols);
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask,
           [&](size_t first, size_t n) { kernels::add_bias(x.row_range(first, n), bias); });
}

void swiglu(Context& ctx, MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  check_same_shape(gate, up);
  check_same_shape(gate, out);
  const auto kernel = ctx.is_reference() ? kernels::swiglu_ref : kernels::swiglu;
  for_rows(ctx, out.rows, out.cols, kExpElemsPerTask, [&](size_t first, size_t n) {
    kernel(gate.row_range(first, n), up.row_range(first, n), out.row_range(first, n));
  });
}

void swiglu_clamped(Context& ctx, MatView<const float> gate, MatView<const float> up, ClampedSwiglu options,
                    MatView<float> out) {
  check_same_shape(gate, up);
  check_same_shape(gate, out);
  ATELIER_CHECK(options.limit >= 0);
  const auto kernel = ctx.is_reference() ? kernels::swiglu_clamped_ref : kernels::swiglu_clamped;
  for_rows(ctx, out.rows, out.cols, kExpElemsPerTask, [&](size_t first, size_t n) {
    kernel(gate.row_range(first, n), up.row_range(first, n), options.alpha, options.limit,
           out.row_range(first, n));
  });
}

void gelu_tanh(Context& ctx, MatView<const float> x, MatView<float> out) {
  check_same_shape(x, out);
  const auto kernel = ctx.is_reference() ? kernels::gelu_tanh_ref : kernels::gelu_tanh;
  for_rows(ctx, out.rows, out.cols, kExpElemsPerTask,
           [&](size_t first, size_t n) { kernel(x.row_range(first, n), out.row_range(first, n)); });
}

void geglu_tanh(Context& ctx, MatView<const float> gate, MatView<const float> up, MatView<float> out) {
  check_same_shape(gate, up);
  check_same_shape(gate, out);
  const auto kernel = ctx.is_reference() ? kernels::geglu_tanh_ref : kernels::geglu_tanh;
  for_rows(ctx, out.rows, out.cols, kExpElemsPerTask, [&](size_t first, size_t n) {
    kernel(gate.row_range(first, n), up.row_range(first, n), out.row_range(first, n));
  });
}

RopeAngles rope_angles(Context& ctx, std::span<const int32_t> positions, const RopeTable& table) {
  const size_t pairs = table.inv_freq.size();
  const MatView<float> cos = ctx.arena().take_mat(positions.size(), pairs);
  const MatView<float> sin = ctx.arena().take_mat(positions.size(), pairs);
  constexpr size_t kAnglesPerTask = 256;  // a double cos and sin take some 40 ns
  for_rows(ctx, positions.size(), pairs, kAnglesPerTask, [&](size_t first, size_t n) {
    kernels::rope_angles(positions.subspan(first, n), table.inv_freq, table.scale, cos.row_range(first, n),
                         sin.row_range(first, n));
  });
  return {cos, sin};
}

void rope(Context& ctx, MatView<float> x, size_t head_dim, const RopeAngles& angles, RopePairs pairs) {
  check_same_shape(angles.cos, angles.sin);
  ATELIER_CHECK(angles.cos.rows == x.rows);
  ATELIER_CHECK(head_dim > 0 && x.cols % head_dim == 0 && 2 * angles.cos.cols <= head_dim);
  using Kernel = void (*)(MatView<float>, size_t, MatView<const float>, MatView<const float>);
  const auto choose = [&](Kernel fast, Kernel ref) { return ctx.is_reference() ? ref : fast; };
  const Kernel kernel = pairs == RopePairs::kHalves
                            ? choose(kernels::rope_halves, kernels::rope_halves_ref)
                            : choose(kernels::rope_adjacent, kernels::rope_adjacent_ref);
  for_rows(ctx, x.rows, x.cols, kStreamElemsPerTask, [&](size_t first, size_t n) {
    kernel(x.row_range(first, n), head_dim, angles.cos.row_range(first, n), angles.sin.row_range(first, n));
  });
}

void top_k_softmax(Context& ctx, MatView<const float> scores, size_t k, MatView<uint32_t> indices,
                   MatView<float> weights) {
  ATELIER_CHECK(k >= 1 && k <= scores.cols);
  ATELIER_CHECK(indices.rows == scores.rows && indices.cols == k);
  ATELIER_CHECK(weights.rows == scores.rows && weights.cols == k);
  for_rows(ctx, scores.rows, scores.cols, kExpElemsPerTask, [&](size_t first, size_t n) {
    kernels::top_k_softmax(scores.row_range(first, n), indices.row_range(first, n),
                           weights.row_range(first, n));
  });
}

}  // namespace atelier::ops
