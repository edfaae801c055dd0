#include "ops/product_input.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"

namespace atelier::ops {
namespace {

// Less than this is prepared by the caller alone: a fork-join costs about as much.
constexpr size_t kMinParallelBytes = size_t{16} << 10;
constexpr size_t kPrepareBlocks = 32;
static_assert(kPrepareBlocks % kTilesChunkBlocks == 0);

// A share of preparing an input: blocks [first, last) of a tile, or columns of a tile of floats.
struct PrepareTask {
  ProductInput* input;
  InputForm form;
  size_t terms;  // of tiles in bf16
  size_t tile, first, last;
};

// Tiles of one form, rows in each, and what they are cut into for tasks.
struct Tiling {
  size_t n_tiles = 0, rows_per_tile = 0, units = 0, step = 0;
};
Tiling tiling(const ProductInput& input, InputForm form) {
  const size_t n_rows = input.rows.size(), n_blocks = input.cols / kBlockCols;
  switch (form) {
    case InputForm::kQuant: {
      const size_t rows_per_tile = input.quant.first.width / input.terms;
      return {ceil_div(n_rows, rows_per_tile), rows_per_tile, n_blocks, kPrepareBlocks};
    }
    case InputForm::kFloat:
      return {ceil_div(n_rows, input.floats.width), input.floats.width, input.cols,
              kPrepareBlocks * kBlockCols};
    case InputForm::kTiles:
      break;
  }
  return {ceil_div(n_rows, kTileTokens), kTileTokens, n_blocks, kPrepareBlocks};
}

void allocate_quant(Arena& arena, ProductInput& input) {
  QuantActivations& q = input.quant;
  q.n_tokens = input.n_slots();
  q.n_blocks = input.cols / kBlockCols;
  q.first.width = quant_tile_width(q.n_tokens);
  q.first.terms = input.terms;
  const size_t n = tiling(input, InputForm::kQuant).n_tiles * q.n_blocks * q.first.width;
  q.first.codes = arena.take<int8_t>(n * kBlockCols).data();
  q.first.scales = arena.take<float>(n).data();
  q.first.sums = arena.take<int32_t>(2 * n).data();
  for (size_t a = 0; a < input.n_aux; ++a)
    input.aux[a] = arena.take<int32_t>(n * input.aux_kinds[a].granules).data();
}

void allocate_floats(Arena& arena, ProductInput& input) {
  FloatActivations& floats = input.floats;
  floats.n_tokens = input.rows.size();
  floats.width = float_tile_width(floats.n_tokens);
  if (floats.n_tokens == 1) {
    floats.x = input.rows[0];
    return;
  }
  const Tiling tiles = tiling(input, InputForm::kFloat);
  input.float_tiles = arena.take<float>(tiles.n_tiles * tiles.rows_per_tile * input.cols).data();
  floats.x = input.float_tiles;
}

void allocate_tiles(Arena& arena, ProductInput& input, size_t terms) {
  TileActivations& tiles = input.tiles[terms - 1];
  tiles = {nullptr, input.rows.size(), input.cols / kBlockCols, terms};
  tiles.x = input.tile_values[terms - 1] = arena.take<uint16_t>(tiles.n_values()).data();
}

void prepare(const MatmulKernels& kernels, const PrepareTask& task) {
  ProductInput& input = *task.input;
  const size_t width = tiling(input, task.form).rows_per_tile;
  const size_t first_row = task.tile * width;
  const auto rows = input.rows.subspan(first_row, std::min(width, input.rows.size() - first_row));
  switch (task.form) {
    case InputForm::kQuant: {
      const QuantTile tile = input.quant.tile(task.tile);
      kernels.quantize(rows, task.first, task.last, tile);
      const size_t offset = task.tile * input.quant.n_blocks * tile.width;
      for (size_t a = 0; a < input.n_aux; ++a) {
        const AuxKind& kind = input.aux_kinds[a];
        fill_aux(kind, tile, task.first, task.last, input.aux[a] + offset * kind.granules);
      }
      return;
    }
    case InputForm::kFloat: {
      float* out = input.float_tiles + task.tile * width * input.cols;
      for (size_t k = task.first; k < task.last; ++k)
        for (size_t t = 0; t < width; ++t) out[k * width + t] = t < rows.size() ? rows[t][k] : 0.0f;
      return;
    }
    case InputForm::kTiles: {
      const TileActivations& tiles = input.tiles[task.terms - 1];
      for (size_t b = task.first; b < task.last; b += kTilesChunkBlocks)
        kernels.tiles.round(rows, b * kBlockCols, tiles.chunk_blocks(b), task.terms,
                            input.tile_values[task.terms - 1] + tiles.offset(b, task.tile));
    }
  }
}

// Calls fn(form, terms) for everything of an input that has to be written.
template <class Fn>
void for_each_form(const ProductInput& input, Fn fn) {
  if (input.is_quant) fn(InputForm::kQuant, input.terms);
  if (input.float_tiles != nullptr) fn(InputForm::kFloat, size_t{1});
  for (size_t i = 0; i < input.is_tiles.size(); ++i)
    if (input.is_tiles[i]) fn(InputForm::kTiles, i + 1);
}

}  // namespace

InputForm input_form(const Context& ctx, const MatmulKernels& kernels, const PackedWeight& weight,
                     size_t n_rows) {
  const auto layout = static_cast<size_t>(weight.format().layout);
  if (ctx.may_use_tiles() && n_rows > kDirectTokens && kernels.tiles.multiply[layout] != nullptr &&
      weight.cols() % kBlockCols == 0)
    return InputForm::kTiles;
  return weight.info().is_float() ? InputForm::kFloat : InputForm::kQuant;
}

size_t add_need(ProductInput& input, const MatmulKernels& kernels, const PackedWeight& weight,
                InputForm form) {
  if (form == InputForm::kTiles) {
    input.is_tiles[tile_terms(weight.format().layout) - 1] = true;
    return 0;
  }
  if (form == InputForm::kFloat) {
    input.is_float = true;
    return 0;
  }
  input.is_quant = true;
  const AuxKind kind = aux_kind(weight.format(), kernels);
  const auto known = std::find(input.aux_kinds.begin(), input.aux_kinds.begin() + input.n_aux, kind);
  const auto aux = static_cast<size_t>(known - input.aux_kinds.begin());
  if (aux < input.n_aux) return aux;
  ATELIER_CHECK(input.n_aux < kMaxAux);
  input.aux_kinds[input.n_aux++] = kind;
  return aux;
}

void prepare_inputs(Context& ctx, const MatmulKernels& kernels, std::span<ProductInput> inputs) {
  size_t n_tasks = 0, n_bytes = 0;
  for (ProductInput& input : inputs) {
    if (input.is_quant) allocate_quant(ctx.arena(), input);
    if (input.is_float) allocate_floats(ctx.arena(), input);
    for (size_t i = 0; i < input.is_tiles.size(); ++i)
      if (input.is_tiles[i]) allocate_tiles(ctx.arena(), input, i + 1);
    for_each_form(input, [&](InputForm form, size_t) {
      const Tiling tiles = tiling(input, form);
      n_tasks += tiles.n_tiles * ceil_div(tiles.units, tiles.step);
      n_bytes += input.rows.size() * input.cols * sizeof(float);
    });
  }
  const std::span<PrepareTask> tasks = ctx.arena().take<PrepareTask>(n_tasks);
  size_t n = 0;
  for (ProductInput& input : inputs) {
    for_each_form(input, [&](InputForm form, size_t terms) {
      const Tiling tiles = tiling(input, form);
      for (size_t tile = 0; tile < tiles.n_tiles; ++tile)
        for (size_t first = 0; first < tiles.units; first += tiles.step)
          tasks[n++] = {&input, form, terms, tile, first, std::min(tiles.units, first + tiles.step)};
    });
  }
  if (n_bytes <= kMinParallelBytes) {
    for (const PrepareTask& task : tasks) prepare(kernels, task);
  } else {
    ctx.pool().run(n, [&](size_t i, size_t) { prepare(kernels, tasks[i]); });
  }
}

}  // namespace atelier::ops
