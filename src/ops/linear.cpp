#include "ops/linear.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "kernels/cpu/matmul/matmul.h"
#include "ops/linear_reference.h"

namespace atelier::ops {
namespace {

// Kinds of AuxKind one input is needed in: as many as there are storage formats would be plenty.
constexpr size_t kMaxAux = 8;

// Activations that one or more products read: rows of x, in the forms their weights want.
struct Input {
  std::span<const float* const> rows;
  size_t cols = 0;
  bool is_quant = false, is_float = false;
  QuantActivations quant;
  std::array<AuxKind, kMaxAux> aux_kinds;
  std::array<int32_t*, kMaxAux> aux;
  size_t n_aux = 0;
  FloatActivations floats;
  float* float_tiles = nullptr;  // where floats.x is to be written; null if x serves as it is

  size_t n_tiles() const { return ceil_div(rows.size(), quant.first.width); }
  size_t n_float_tiles() const { return ceil_div(rows.size(), floats.width); }
};

struct Product {
  const PackedWeight* weight = nullptr;
  std::span<const float> bias;
  MatView<float> out;
  Input* input = nullptr;
  size_t aux = 0;  // index into the input's aux
};

// Work below this is done by the caller alone: a fork-join costs about as much as reading 16 KiB.
constexpr size_t kMinTaskBytes = size_t{16} << 10;
// Tasks per thread: the last one of a thread is what the others wait for, 1/32 of its share at most.
constexpr size_t kTasksPerThread = 32;

void add_need(Input& input, const PackedWeight& weight, Product& product) {
  if (weight.info().is_float()) {
    input.is_float = true;
    return;
  }
  input.is_quant = true;
  const AuxKind kind = aux_kind(weight.format());
  const auto known = std::find(input.aux_kinds.begin(), input.aux_kinds.begin() + input.n_aux, kind);
  product.aux = static_cast<size_t>(known - input.aux_kinds.begin());
  if (product.aux < input.n_aux) return;
  ATELIER_CHECK(input.n_aux < kMaxAux);
  input.aux_kinds[input.n_aux++] = kind;
}

void allocate(Context& ctx, Input& input) {
  Arena& arena = ctx.arena();
  const size_t n_tokens = input.rows.size();
  if (input.is_quant) {
    QuantActivations& q = input.quant;
    q.n_tokens = n_tokens;
    q.n_blocks = input.cols / kBlockCols;
    q.first.width = quant_tile_width(n_tokens);
    const size_t n = input.n_tiles() * q.n_blocks * q.first.width;
    q.first.codes = arena.take<int8_t>(n * kBlockCols).data();
    q.first.scales = arena.take<float>(n).data();
    q.first.sums = arena.take<int32_t>(2 * n).data();
    for (size_t a = 0; a < input.n_aux; ++a)
      input.aux[a] = arena.take<int32_t>(n * input.aux_kinds[a].granules).data();
  }
  if (input.is_float) {
    input.floats.n_tokens = n_tokens;
    input.floats.width = float_tile_width(n_tokens);
    if (n_tokens == 1) {
      input.floats.x = input.rows[0];
    } else {
      input.float_tiles = arena.take<float>(input.n_float_tiles() * input.floats.width * input.cols).data();
      input.floats.x = input.float_tiles;
    }
  }
}

// A share of preparing an input: blocks [first, last) of a quantised tile, or columns of a float tile.
struct PrepareTask {
  Input* input;
  bool is_float;
  size_t tile, first, last;
};
constexpr size_t kPrepareBlocks = 32;

void prepare(const MatmulKernels& kernels, const PrepareTask& task) {
  Input& input = *task.input;
  const size_t width = task.is_float ? input.floats.width : input.quant.first.width;
  const size_t first_row = task.tile * width;
  const auto rows = input.rows.subspan(first_row, std::min(width, input.rows.size() - first_row));
  if (!task.is_float) {
    const QuantTile tile = input.quant.tile(task.tile);
    kernels.quantize(rows, task.first, task.last, tile);
    const size_t offset = task.tile * input.quant.n_blocks * width;
    for (size_t a = 0; a < input.n_aux; ++a) {
      const AuxKind& kind = input.aux_kinds[a];
      fill_aux(kind, tile, task.first, task.last, input.aux[a] + offset * kind.granules);
    }
    return;
  }
  float* out = input.float_tiles + task.tile * width * input.cols;
  for (size_t k = task.first; k < task.last; ++k)
    for (size_t t = 0; t < width; ++t) out[k * width + t] = t < rows.size() ? rows[t][k] : 0.0f;
}

void add_prepare_tasks(Input& input, std::span<PrepareTask> tasks, size_t& n) {
  const auto add = [&](bool is_float, size_t n_tiles, size_t units, size_t step) {
    for (size_t tile = 0; tile < n_tiles; ++tile)
      for (size_t first = 0; first < units; first += step)
        tasks[n++] = {&input, is_float, tile, first, std::min(units, first + step)};
  };
  if (input.is_quant) add(false, input.n_tiles(), input.quant.n_blocks, kPrepareBlocks);
  if (input.float_tiles != nullptr) add(true, input.n_float_tiles(), input.cols, kPrepareBlocks * kBlockCols);
}
size_t max_prepare_tasks(const Input& input) {
  const size_t per_row = ceil_div(input.cols, kPrepareBlocks * kBlockCols);
  return (input.is_quant ? input.n_tiles() * per_row : 0) +
         (input.is_float ? input.n_float_tiles() * per_row : 0);
}

void prepare_inputs(Context& ctx, const MatmulKernels& kernels, std::span<Input> inputs) {
  size_t most = 0, values = 0;
  for (Input& input : inputs) {
    allocate(ctx, input);
    most += max_prepare_tasks(input);
    values += input.rows.size() * input.cols;
  }
  const std::span<PrepareTask> tasks = ctx.arena().take<PrepareTask>(most);
  size_t n = 0;
  for (Input& input : inputs) add_prepare_tasks(input, tasks, n);
  if (values * sizeof(float) <= kMinTaskBytes) {
    for (size_t i = 0; i < n; ++i) prepare(kernels, tasks[i]);
  } else {
    ctx.pool().run(n, [&](size_t i, size_t) { prepare(kernels, tasks[i]); });
  }
}

struct ProductTask {
  const Product* product;
  size_t first_panel, n_panels, first_token, n_tokens;
};

// Whether one pass over the weights serves all tokens, so that a task may be as long as it likes.
bool reads_weights_once(const Product& product) {
  return !product.weight->info().is_float() && product.input->rows.size() <= kDirectTokens;
}
size_t panels_per_task(const Product& product, size_t total_bytes, size_t total_tiles, size_t n_threads) {
  const size_t n_tasks = n_threads * kTasksPerThread;
  if (reads_weights_once(product)) {
    const size_t bytes = std::max(total_bytes / n_tasks, kMinTaskBytes);
    return std::max<size_t>(1, bytes / product.weight->panel_bytes());
  }
  return std::clamp<size_t>(total_tiles / n_tasks, 1, kTaskPanels);
}

void run_products(Context& ctx, const MatmulKernels& kernels, std::span<const Product> products) {
  const size_t n_threads = ctx.pool().size();
  size_t total_bytes = 0, total_tiles = 0, most = 0;  // a tile: one panel × up to kTaskTokens tokens
  for (const Product& product : products) {
    total_bytes += product.weight->bytes();
    total_tiles += product.weight->n_panels() * ceil_div(product.input->rows.size(), kTaskTokens);
  }
  const auto per_task = [&](const Product& product) {
    return panels_per_task(product, total_bytes, total_tiles, n_threads);
  };
  for (const Product& product : products)
    most += ceil_div(product.weight->n_panels(), per_task(product)) *
            ceil_div(product.input->rows.size(), kTaskTokens);
  const std::span<ProductTask> tasks = ctx.arena().take<ProductTask>(most);
  size_t n = 0;
  for (const Product& product : products) {
    const size_t panels = product.weight->n_panels(), step = per_task(product);
    const size_t tokens = product.input->rows.size();
    for (size_t t = 0; t < tokens; t += kTaskTokens)
      for (size_t p = 0; p < panels; p += step)
        tasks[n++] = {&product, p, std::min(step, panels - p), t, std::min(kTaskTokens, tokens - t)};
  }
  const size_t scratch_floats = matmul_scratch_floats();
  float* scratch = ctx.arena().take<float>(scratch_floats * n_threads).data();
  ctx.pool().run(n, [&](size_t i, size_t thread) {
    const ProductTask& t = tasks[i];
    const Product& product = *t.product;
    const MatmulTask task{product.weight, product.bias,  product.out, t.first_panel,
                          t.n_panels,     t.first_token, t.n_tokens};
    float* mine = scratch + thread * scratch_floats;
    if (product.weight->info().is_float()) return matmul(kernels, task, product.input->floats, mine);
    QuantActivations x = product.input->quant;
    x.aux = product.input->aux[product.aux];
    matmul(kernels, task, x, mine);
  });
}

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
            MatView<float> out) {
  const LinearJob job{&weight, bias, out};
  linear_group(ctx, x, std::span(&job, 1));
}

void linear_group(Context& ctx, MatView<const float> x, std::span<const LinearJob> jobs) {
  for (const LinearJob& job : jobs) check_job(*job.weight, job.bias, job.out, x.rows, x.cols);
  if (x.rows == 0 || jobs.empty()) return;
  const ArenaScope scope(ctx.arena());
  const auto rows = row_pointers(ctx, x, nullptr);
  if (ctx.is_reference()) {
    for (const LinearJob& job : jobs) linear_reference(ctx, rows, *job.weight, job.bias, job.out);
    return;
  }
  const MatmulKernels& kernels = matmul_kernels(active_isa());
  Input input;
  input.rows = rows;
  input.cols = x.cols;
  const auto products = ctx.arena().take<Product>(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    ATELIER_CHECK(jobs[i].weight->is_packed());
    products[i] = {&jobs[i].weight->packed(), jobs[i].bias, jobs[i].out, &input};
    add_need(input, *products[i].weight, products[i]);
  }
  prepare_inputs(ctx, kernels, std::span(&input, 1));
  run_products(ctx, kernels, products);
}

void linear_experts(Context& ctx, MatView<const float> x, std::span<const ExpertJob> jobs) {
  for (const ExpertJob& job : jobs) check_job(*job.weight, job.bias, job.out, job.x_rows.size(), x.cols);
  const ArenaScope scope(ctx.arena());
  const MatmulKernels& kernels = matmul_kernels(active_isa());
  const auto products = ctx.arena().take<Product>(jobs.size());
  const auto inputs = ctx.arena().take<Input>(jobs.size());
  size_t n_products = 0, n_inputs = 0;
  std::span<const uint32_t> previous;
  for (const ExpertJob& job : jobs) {
    if (job.x_rows.empty()) continue;
    // Jobs that list the same rows (gate and up of one expert; all experts of a single token) share an input.
    if (n_inputs == 0 ||
        !std::equal(job.x_rows.begin(), job.x_rows.end(), previous.begin(), previous.end())) {
      inputs[n_inputs] = Input{};
      inputs[n_inputs].rows = row_pointers(ctx, x, &job.x_rows);
      inputs[n_inputs++].cols = x.cols;
      previous = job.x_rows;
    }
    Input& input = inputs[n_inputs - 1];
    if (ctx.is_reference()) {
      linear_reference(ctx, input.rows, *job.weight, job.bias, job.out);
      continue;
    }
    ATELIER_CHECK(job.weight->is_packed());
    Product& product = products[n_products++];
    product = {&job.weight->packed(), job.bias, job.out, &input};
    add_need(input, *product.weight, product);
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
