#include "ops/linear.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "kernels/cpu/matmul/matmul.h"
#include "ops/linear_reference.h"
#include "ops/product_input.h"

namespace atelier::ops {
namespace {

struct Product {
  const PackedWeight* weight = nullptr;
  std::span<const float> bias;
  MatView<float> out;
  ProductInput* input = nullptr;
  InputForm form = InputForm::kQuant;
  size_t aux = 0;  // index into the input's aux

  // Rows of the input; of quantised ones slots.
  size_t n_tokens() const { return form == InputForm::kQuant ? input->n_slots() : input->rows.size(); }
  // Whether one pass over the weights serves all tokens, so that a task may be as long as it likes.
  bool reads_weights_once() const { return form == InputForm::kQuant && n_tokens() <= kDirectTokens; }
};

// Work below this is done by the caller alone: a fork-join costs about as much as reading 16 KiB.
constexpr size_t kMinTaskBytes = size_t{16} << 10;
// Tasks per thread: the last one of a thread is what the others wait for, 1/32 of its share at most.
constexpr size_t kTasksPerThread = 32;
// Tasks in tiles carry a start-up each: unpacking their first chunk.
constexpr size_t kTileTasksPerThread = 12;

// How a product is cut into tasks.
struct TaskSize {
  size_t panels, tokens;
};

// All products of one call, and what tasks are sized by.
struct Totals {
  size_t n_threads = 1;
  size_t bytes = 0;   // of weights
  size_t panels = 0;  // times task-sized groups of tokens
};

TaskSize task_size(const Product& product, const Totals& totals) {
  const PackedWeight& weight = *product.weight;
  if (product.reads_weights_once()) {
    const size_t bytes = std::max(totals.bytes / (totals.n_threads * kTasksPerThread), kMinTaskBytes);
    return {std::max<size_t>(1, bytes / weight.panel_bytes()), kTaskTokens};
  }
  if (product.form == InputForm::kTiles) {
    const size_t pairs = totals.panels / (2 * totals.n_threads * kTileTasksPerThread);
    return {2 * std::clamp<size_t>(pairs, 1, kTilesTaskPanels / 2), kTilesTaskTokens};
  }
  // Panels are unpacked once for each group of tokens, so groups are few and of one size.
  const size_t groups = ceil_div(product.n_tokens(), kTaskTokens);
  const size_t tile = product.form == InputForm::kQuant ? kTokenTile : product.input->floats.width;
  const size_t panels =
      std::clamp<size_t>(totals.panels / (totals.n_threads * kTileTasksPerThread), 1, kTaskPanels);
  return {panels > kJointPanels ? panels / kJointPanels * kJointPanels : panels,
          round_up(ceil_div(product.n_tokens(), groups), tile)};
}

struct ProductTask {
  const Product* product;
  size_t first_panel, n_panels, first_token, n_tokens;
};

void run_task(const MatmulKernels& kernels, const ProductTask& t, float* scratch) {
  const Product& product = *t.product;
  const ProductInput& input = *product.input;
  if (product.form == InputForm::kTiles) {
    const TileActivations& x = input.tiles[tile_terms(product.weight->format().layout) - 1];
    const TilesTask task{product.weight, t.first_panel, t.n_panels, t.first_token / kTileTokens,
                         ceil_div(t.n_tokens, kTileTokens)};
    return multiply_tiles(kernels.tiles, task, x, product.bias, product.out, scratch);
  }
  const MatmulTask task{product.weight, product.bias,  product.out, t.first_panel,
                        t.n_panels,     t.first_token, t.n_tokens};
  if (product.form == InputForm::kFloat) return matmul(kernels, task, input.floats, scratch);
  QuantActivations x = input.quant;
  x.aux = input.aux[product.aux];
  matmul(kernels, task, x, scratch);
}

void run_products(Context& ctx, const MatmulKernels& kernels, std::span<const Product> products) {
  Totals totals;
  totals.n_threads = ctx.pool().size();
  for (const Product& product : products) {
    totals.bytes += product.weight->streamed_bytes();
    const size_t tokens = product.form == InputForm::kTiles ? kTilesTaskTokens : kTaskTokens;
    totals.panels += product.weight->n_panels() * ceil_div(product.n_tokens(), tokens);
  }
  size_t n = 0;
  for (const Product& product : products) {
    const TaskSize size = task_size(product, totals);
    n += ceil_div(product.weight->n_panels(), size.panels) * ceil_div(product.n_tokens(), size.tokens);
  }
  const std::span<ProductTask> tasks = ctx.arena().take<ProductTask>(n);
  n = 0;
  for (const Product& product : products) {
    const size_t panels = product.weight->n_panels(), tokens = product.n_tokens();
    const TaskSize size = task_size(product, totals);
    for (size_t t = 0; t < tokens; t += size.tokens)
      for (size_t p = 0; p < panels; p += size.panels)
        tasks[n++] = {&product, p, std::min(size.panels, panels - p), t, std::min(size.tokens, tokens - t)};
  }
  const size_t scratch_floats = std::max(matmul_scratch_floats(), tiles_scratch_floats());
  float* scratch = ctx.arena().take<float>(scratch_floats * totals.n_threads).data();
  ctx.pool().run(
      n, [&](size_t i, size_t thread) { run_task(kernels, tasks[i], scratch + thread * scratch_floats); });
}

size_t n_terms(Activations activations) { return activations == Activations::k16Bit ? 2 : 1; }

void check_job(const Weight& weight, std::span<const float> bias, MatView<float> out, size_t n_tokens,
               size_t cols) {
  ATELIER_CHECK(weight.cols() == cols && out.rows == n_tokens && out.cols == weight.rows());
  ATELIER_CHECK(bias.empty() || bias.size() == weight.rows());
}

// Pointers to the listed rows of x; all of them if `rows` is null.
std::span<const float* const> row_pointers(Context& ctx, MatView<const float> x,
                                           const std::span<const uint32_t>* rows) {
  const auto pointers = ctx.arena().take<const float*>(rows != nullptr ? rows->size() : x.rows);
  for (size_t i = 0; i < pointers.size(); ++i) {
    const size_t r = rows != nullptr ? (*rows)[i] : i;
    ATELIER_CHECK(r < x.rows);
    pointers[i] = x.data + r * x.stride;
  }
  return pointers;
}

}  // namespace

void linear(Context& ctx, MatView<const float> x, const Weight& weight, std::span<const float> bias,
            MatView<float> out, Activations activations) {
  const LinearJob job{&weight, bias, out, activations};
  linear_group(ctx, x, std::span(&job, 1));
}

void linear_group(Context& ctx, MatView<const float> x, std::span<const LinearJob> jobs) {
  for (const LinearJob& job : jobs) check_job(*job.weight, job.bias, job.out, x.rows, x.cols);
  if (x.rows == 0 || jobs.empty()) return;
  ctx.interlude(PassPart::kProducts);
  const ArenaScope scope(ctx.arena());
  const auto rows = row_pointers(ctx, x, nullptr);
  if (ctx.is_reference()) {
    for (const LinearJob& job : jobs) linear_reference(ctx, rows, *job.weight, job.bias, job.out);
    return;
  }
  const MatmulKernels& kernels = matmul_kernels(active_isa());
  std::array<ProductInput, 2> inputs;  // in one and in two terms
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].rows = rows;
    inputs[i].cols = x.cols;
    inputs[i].terms = i + 1;
  }
  const auto products = ctx.arena().take<Product>(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    ATELIER_CHECK(jobs[i].weight->is_packed());
    const PackedWeight& weight = jobs[i].weight->packed();
    const InputForm form = input_form(ctx, kernels, weight, x.rows);
    // Tiles have their own terms, by the weight's layout.
    ProductInput& input = inputs[form == InputForm::kQuant ? n_terms(jobs[i].activations) - 1 : 0];
    products[i] = {&weight, jobs[i].bias, jobs[i].out, &input, form, add_need(input, kernels, weight, form)};
  }
  prepare_inputs(ctx, kernels, inputs);
  run_products(ctx, kernels, products);
}

void linear_experts(Context& ctx, MatView<const float> x, std::span<const ExpertJob> jobs) {
  for (const ExpertJob& job : jobs) check_job(*job.weight, job.bias, job.out, job.x_rows.size(), x.cols);
  ctx.interlude(PassPart::kProducts);
  const ArenaScope scope(ctx.arena());
  const MatmulKernels& kernels = matmul_kernels(active_isa());
  const auto products = ctx.arena().take<Product>(jobs.size());
  const auto inputs = ctx.arena().take<ProductInput>(jobs.size());
  size_t n_products = 0, n_inputs = 0;
  std::span<const uint32_t> previous;
  for (const ExpertJob& job : jobs) {
    if (job.x_rows.empty()) continue;
    // Jobs that list the same rows (gate and up of one expert; all experts of a single token) share an input.
    const size_t terms = n_terms(job.activations);
    if (n_inputs == 0 || inputs[n_inputs - 1].terms != terms ||
        !std::equal(job.x_rows.begin(), job.x_rows.end(), previous.begin(), previous.end())) {
      inputs[n_inputs] = ProductInput{};
      inputs[n_inputs].terms = terms;
      inputs[n_inputs].rows = row_pointers(ctx, x, &job.x_rows);
      inputs[n_inputs++].cols = x.cols;
      previous = job.x_rows;
    }
    ProductInput& input = inputs[n_inputs - 1];
    if (ctx.is_reference()) {
      linear_reference(ctx, input.rows, *job.weight, job.bias, job.out);
      continue;
    }
    ATELIER_CHECK(job.weight->is_packed());
    const PackedWeight& weight = job.weight->packed();
    const InputForm form = input_form(ctx, kernels, weight, input.rows.size());
    products[n_products++] = {&weight, job.bias, job.out,
                              &input,  form,     add_need(input, kernels, weight, form)};
  }
  if (n_products == 0) return;
  prepare_inputs(ctx, kernels, inputs.first(n_inputs));
  run_products(ctx, kernels, products.first(n_products));
}

void embed(Context& ctx, const Weight& table, std::span<const int32_t> ids, MatView<float> out) {
  ATELIER_CHECK(out.rows == ids.size() && out.cols == table.cols());
  ctx.pool().run(ids.size(), [&](size_t i, size_t) {
    ATELIER_CHECK(ids[i] >= 0 && static_cast<size_t>(ids[i]) < table.rows());
    table.decode_row(static_cast<size_t>(ids[i]), out.row(i));
  });
}

}  // namespace atelier::ops
