#include "kernels/cpu/matmul/matmul.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cpu/matmul/isa_tables.h"

namespace atelier {
namespace {

using Fill = void (*)(MatmulKernels&);
struct IsaTable {
  Isa isa;
  Fill fill;
  Fill refine = nullptr;  // replaces some of them
  void (*fill_tiles)(TileKernels&) = nullptr;
};
// Who supplies the kernels of each level. `fill` itself may use the level's instructions.
constexpr IsaTable kTables[] = {
#if defined(__aarch64__)
    {Isa::kBaseline, matmul_neon::fill},
    {Isa::kDotProd, matmul_dotprod::fill},
    {Isa::kI8mm, matmul_i8mm::fill},
#else
    {Isa::kBaseline, matmul_generic::fill},
#if defined(__x86_64__)
    {Isa::kAvx2, matmul_avx2::fill},
    {Isa::kAvx512, matmul_avx512::fill},
    {Isa::kAvx512Bf16, matmul_avx512::fill},
    {Isa::kAmx, matmul_avx512::fill, matmul_amx::fill, tiles_amx::fill},
#endif
#endif
};

MatmulKernels make_kernels(const IsaTable& table) {
  MatmulKernels kernels;
  kernels.isa = table.isa;
  table.fill(kernels);
  if (table.refine != nullptr) table.refine(kernels);
  if (table.fill_tiles != nullptr) table.fill_tiles(kernels.tiles);
  return kernels;
}

constexpr size_t kAccFloats = kTaskPanels * kTaskTokens * 2 * kPanelRows;
// Of one panel: codes, and scales and minima of two granules at most.
constexpr size_t kUnpackedCodes = kChunkBlocks * kPanelRows * kBlockCols / sizeof(float);
constexpr size_t kUnpackedScales = kChunkBlocks * 2 * kPanelRows;
constexpr size_t kUnpackFloats =
    std::max(kChunkCols * kPanelRows, kJointPanels*(kUnpackedCodes + 2 * kUnpackedScales));
static_assert(kTaskPanels % kJointPanels == 0);
static_assert(kTaskTokens % kTokenTile == 0 && kTaskTokens % kFloatTokenTile == 0);

// Panels whose sums are collected before they are stored, on the direct path.
constexpr size_t kDirectPanels = 16;
static_assert(kDirectPanels * kDirectTokens * kPanelRows <= kAccFloats);

// Sums of one token and panel to the rows of its output, of which there are 16 but in a last panel.
void store_rows(const float* sum, const float* bias, size_t n, float* out) {
  if (n == kPanelRows && bias == nullptr) {
    std::copy_n(sum, kPanelRows, out);
  } else if (bias == nullptr) {
    std::copy_n(sum, n, out);
  } else {
    for (size_t r = 0; r < n; ++r) out[r] = sum[r] + bias[r];
  }
}

// Where the sums of a task stand: floats from one panel's to the next, and from one token's to the next.
struct SumStrides {
  size_t panel, token;
};

// out[first_token + t, 16 panel …] = sums[panel][t][16] (+ bias), for panels [first_panel, first_panel + n).
// Two terms of a row are added up first, in the place of the first. Token by token: an output row is a page
// of its own.
void store_panels(const MatmulTask& task, size_t first_panel, size_t n_panels, size_t n_tokens, size_t terms,
                  float* sums, const SumStrides& strides) {
  for (size_t t = 0; t < n_tokens; t += terms) {
    float* out_row = task.out.data + (task.first_token + t) / terms * task.out.stride;
    for (size_t p = 0; p < n_panels; ++p) {
      const size_t first_row = (first_panel + p) * kPanelRows;
      float* sum = sums + p * strides.panel + t * strides.token;
      if (terms == 2)
        for (size_t r = 0; r < kPanelRows; ++r) sum[r] += sum[strides.token + r];
      store_rows(sum, task.bias.empty() ? nullptr : task.bias.data() + first_row,
                 std::min(kPanelRows, task.weight->rows() - first_row), out_row + first_row);
    }
  }
}

QuantArgs quant_args(const QuantActivations& x, size_t granules, size_t tile_index, size_t first_block,
                     size_t n_blocks) {
  const QuantTile tile = x.tile(tile_index);
  const size_t offset = first_block * tile.width;
  return {tile.codes + 32 * offset, tile.scales + offset,
          x.aux + (tile_index * x.n_blocks + first_block) * granules * tile.width, tile.width, n_blocks};
}

void matmul_direct(const QuantKernels& kernels, const MatmulTask& task, const QuantActivations& x,
                   float* acc) {
  const size_t width = x.first.width;
  const QuantArgs args = quant_args(x, task.weight->info().granules, 0, 0, x.n_blocks);
  const MultiplyPacked multiply = kernels.multiply[token_step(width)];
  for (size_t done = 0; done < task.n_panels; done += kDirectPanels) {
    const size_t n = std::min(kDirectPanels, task.n_panels - done);
    const size_t first = task.first_panel + done;
    multiply(*task.weight, first, n, args, acc);
    store_panels(task, first, n, x.n_tokens, x.first.terms, acc, {width * kPanelRows, kPanelRows});
  }
}

// Where panels are unpacked, one behind the other.
std::array<UnpackedBlocks, kJointPanels> unpacked_panels(float* scratch) {
  std::array<UnpackedBlocks, kJointPanels> panels;
  for (UnpackedBlocks& panel : panels) {
    panel.codes = reinterpret_cast<uint8_t*>(scratch);
    panel.scales = scratch + kUnpackedCodes;
    panel.mins = panel.scales + kUnpackedScales;
    scratch = panel.mins + kUnpackedScales;
  }
  return panels;
}

// Chunks of columns outermost: a chunk of the activations stays in L2 while it meets every panel of the task,
// unpacked chunks of kJointPanels panels stay in L1 while they meet every token.
void matmul_tiled(const QuantKernels& kernels, const MatmulTask& task, const QuantActivations& x,
                  float* scratch) {
  const size_t granules = task.weight->info().granules;
  float* acc = scratch;  // [panel][token][16]
  const auto panels = unpacked_panels(scratch + kAccFloats);
  const size_t padded_tokens = round_up(task.n_tokens, kTokenTile);
  const size_t stride = padded_tokens * kPanelRows;
  std::fill_n(acc, task.n_panels * stride, 0.0f);
  if (kernels.enter != nullptr) kernels.enter();
  for (size_t first = 0; first < x.n_blocks; first += kChunkBlocks) {
    const size_t n = std::min(kChunkBlocks, x.n_blocks - first);
    for (size_t p = 0; p < task.n_panels; p += kJointPanels) {
      const size_t n_panels = std::min(kJointPanels, task.n_panels - p);
      for (size_t i = 0; i < n_panels; ++i)
        kernels.unpack(*task.weight, task.first_panel + p + i, first, n, panels[i]);
      for (size_t t = 0; t < task.n_tokens; t += kTokenTile) {
        const size_t n_tokens = std::min(kTokenTile, task.n_tokens - t);
        const QuantArgs args = quant_args(x, granules, (task.first_token + t) / kTokenTile, first, n);
        float* sums = acc + p * stride + t * kPanelRows;
        if (kernels.multiply_joint != nullptr && n_panels == kJointPanels) {
          kernels.multiply_joint(panels, args, sums, stride, n_tokens);
          continue;
        }
        for (size_t i = 0; i < n_panels; ++i)
          kernels.multiply_unpacked[token_step(n_tokens)](panels[i], args, sums + i * stride);
      }
    }
  }
  if (kernels.leave != nullptr) kernels.leave();
  store_panels(task, task.first_panel, task.n_panels, task.n_tokens, x.first.terms, acc,
               {stride, kPanelRows});
}

// All tokens of the task × columns [first, first + n) of one panel.
void multiply_float_chunk(const MatmulKernels& isa, const FloatKernels& kernels, const uint8_t* panel,
                          size_t first, size_t n, const MatmulTask& task, const FloatActivations& x,
                          float* acc) {
  for (size_t t = 0; t < task.n_tokens;) {
    const size_t token = task.first_token + t;
    const size_t tile = token / x.width, within = token % x.width;
    const size_t count = std::min({isa.max_float_tokens, x.width - within, task.n_tokens - t});
    const float* values = x.x + (tile * task.weight->cols() + first) * x.width + within;
    kernels.multiply[count - 1](panel, n, values, x.width, acc + t * 2 * kPanelRows);
    t += count;
  }
}

// Where column `first` of a panel stands, a multiple of kChunkCols.
size_t float_offset(PackedLayout layout, size_t first) {
  static_assert(kChunkCols % kF8GroupCols == 0);
  if (layout == PackedLayout::kF8) return first / kF8GroupCols * kF8GroupBytes;
  return first * (layout == PackedLayout::kF32 ? 64 : 32);
}

}  // namespace

const MatmulKernels& matmul_kernels(Isa isa) {
  static const auto kernels = [] {
    std::array<MatmulKernels, std::size(kTables)> made{};
    for (size_t i = 0; i < std::size(kTables) && kTables[i].isa <= detected_isa(); ++i)
      made[i] = make_kernels(kTables[i]);
    return made;
  }();
  ATELIER_CHECK(isa <= detected_isa());
  // Not by the level's number: the levels of another architecture stand in between.
  const auto found = std::ranges::find(kernels, isa, &MatmulKernels::isa);
  ATELIER_CHECK(found != kernels.end());
  return *found;
}

AuxKind aux_kind(const PackedFormat& format, const MatmulKernels& kernels) {
  const PackedLayoutInfo& info = packed_layout_info(format.layout);
  return {info.granules, info.has_min, format.zero_point, info.has_min ? 0 : kernels.sum_bias};
}

void fill_aux(const AuxKind& kind, const QuantTile& tile, size_t first, size_t last, int32_t* aux) {
  const size_t width = tile.width;
  for (size_t b = first; b < last; ++b) {
    const int32_t* lower = tile.sums + 2 * b * width;
    const int32_t* upper = lower + width;
    for (size_t g = 0; g < kind.granules; ++g) {
      int32_t* out = aux + (b * kind.granules + g) * width;
      for (size_t t = 0; t < width; ++t) {
        const int32_t sum = kind.granules == 1 ? lower[t] + upper[t] : (g == 0 ? lower[t] : upper[t]);
        out[t] = kind.has_min ? std::bit_cast<int32_t>(tile.scales[b * width + t] * static_cast<float>(sum))
                              : kind.sum_bias - kind.zero_point * sum;
      }
    }
  }
}

size_t quant_tile_width(size_t n_tokens) {
  return n_tokens > kDirectTokens ? kTokenTile : size_t{1} << token_step(n_tokens);
}
size_t float_tile_width(size_t n_tokens) { return std::clamp<size_t>(n_tokens, 1, kFloatTokenTile); }

size_t matmul_scratch_floats() { return kAccFloats + kUnpackFloats; }

void matmul(const MatmulKernels& kernels, const MatmulTask& task, const QuantActivations& x, float* scratch) {
  const QuantKernels& quant = kernels.quant[static_cast<size_t>(task.weight->format().layout)];
  if (x.first.width <= kDirectTokens) return matmul_direct(quant, task, x, scratch);
  ATELIER_CHECK(task.n_panels <= kTaskPanels && task.n_tokens <= kTaskTokens &&
                task.first_token % kTokenTile == 0);
  matmul_tiled(quant, task, x, scratch);
}

void matmul(const MatmulKernels& kernels, const MatmulTask& task, const FloatActivations& x, float* scratch) {
  ATELIER_CHECK(task.n_panels <= kTaskPanels && task.n_tokens <= kTaskTokens &&
                task.first_token % x.width == 0);
  const PackedWeight& weight = *task.weight;
  const FloatKernels& floats = kernels.floats[static_cast<size_t>(weight.format().layout)];
  const FloatKernels& unpacked = kernels.floats[static_cast<size_t>(PackedLayout::kF32)];
  const size_t cols = weight.cols();
  const size_t acc_stride = task.n_tokens * 2 * kPanelRows;
  // Few tokens read the packed columns directly; from two rounds of them on, unpacking once is cheaper.
  const bool direct =
      floats.unpack == nullptr ||
      (x.width <= kernels.max_float_tokens && x.width <= kFloatTokenTile && floats.multiply[x.width - 1]);
  float* acc = scratch;  // [panel][token][2][16]
  float* columns = scratch + kAccFloats;
  std::fill_n(acc, task.n_panels * acc_stride, 0.0f);
  for (size_t first = 0; first < cols; first += kChunkCols) {
    const size_t n = std::min(kChunkCols, cols - first);
    for (size_t p = 0; p < task.n_panels; ++p) {
      const uint8_t* panel = weight.panel(task.first_panel + p);
      if (direct) {
        multiply_float_chunk(kernels, floats, panel + float_offset(weight.format().layout, first), first, n,
                             task, x, acc + p * acc_stride);
      } else {
        floats.unpack(panel, first, n, columns);
        multiply_float_chunk(kernels, unpacked, reinterpret_cast<const uint8_t*>(columns), first, n, task, x,
                             acc + p * acc_stride);
      }
    }
  }
  for (size_t p = 0; p < task.n_panels; ++p) {
    float* sums = acc + p * acc_stride;
    for (size_t t = 0; t < task.n_tokens; ++t)
      for (size_t r = 0; r < kPanelRows; ++r) sums[t * 32 + r] += sums[t * 32 + kPanelRows + r];
  }
  store_panels(task, task.first_panel, task.n_panels, task.n_tokens, 1, acc, {acc_stride, 2 * kPanelRows});
}

}  // namespace atelier
