// Products of packed weights with rows of activations, and the kernels they are made of.
//
// Numerics of the quantised layouts, the same on every path and instruction set with FMA, for any number of
// tokens: activations are rounded to 8 bits per block of 32 columns (scale a = max|x| / 127), and
//   acc = 0; for each granule (16 or 32 columns), ascending:
//     idot = Σ (code − zero_point) · activation code       exact, 32-bit integers
//     acc  = fma(float(idot) · w_scale, a, acc)
//     acc  = fma(w_min, a · float(Σ activation code), acc)  where the layout has minima
// Where asked to, activations are rounded in two terms, the second of which is the rounding error of the
// first (scale at most a / 254): a row then takes two slots side by side, and its result is the sum of both.
// Float layouts: two accumulators, over even and odd columns ascending, by fma; then their sum.
// The baseline (no FMA hardware) rounds multiply and add apart, so its results differ in the last bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cpu.h"
#include "base/mat_view.h"
#include "kernels/cpu/matmul/packed.h"
#include "kernels/cpu/matmul/tiles.h"

namespace atelier {

// Tokens the quantised kernels take at once; activations of more tokens lie in tiles of this many.
inline constexpr size_t kTokenTile = 16;
// Up to this many tokens are multiplied straight from the packed weights, reading them once.
inline constexpr size_t kDirectTokens = 8;
// The same two for float layouts.
inline constexpr size_t kFloatTokenTile = 12;

// A tile of quantised activations: `width` slots side by side, block after block. A row of activations takes
// `terms` slots; to kernels other than quantize() each is a token. Unused ones are zero.
struct QuantTile {
  int8_t* codes = nullptr;  // [n_blocks][width][32]
  float* scales = nullptr;  // [n_blocks][width]
  int32_t* sums = nullptr;  // [n_blocks][2][width], Σ codes of 16 columns each
  size_t width = 0;         // a multiple of `terms`
  size_t terms = 1;
};

// Zero points and minima enter through one more number per token and granule: the integer −zero_point ·
// Σ codes, at which the dot product starts, or the bits of the float a · Σ codes, which the minimum
// multiplies. Kernels that read sums as floats without converting them start from a bias too.
struct AuxKind {
  uint8_t granules = 1;
  bool has_min = false;
  uint8_t zero_point = 0;
  int32_t sum_bias = 0;  // 0 with minima
  bool operator==(const AuxKind&) const = default;
};
AuxKind aux_kind(const PackedFormat& format, const struct MatmulKernels& kernels);
// aux: [n_blocks][granules][width], for blocks [first, last) of the tile.
void fill_aux(const AuxKind& kind, const QuantTile& tile, size_t first, size_t last, int32_t* aux);

// One panel's blocks [first, …) after unpacking: codes as bytes, scales as floats.
struct UnpackedBlocks {
  uint8_t* codes = nullptr;  // [n][8][64]; minus the zero point, as int8, where kernels ask for it
  float* scales = nullptr;   // [n][granules][16]
  float* mins = nullptr;     // [n][granules][16], if the layout has them
};
// Panels that meet a tile of tokens together, where kernels have registers for it: what is loaded of the
// tokens then serves all of them.
inline constexpr size_t kJointPanels = 3;
// Blocks unpacked at a time: 12 KiB of codes of three panels and at most 6 of scales stay in L1. A multiple
// of every group_blocks.
inline constexpr size_t kChunkBlocks = 8;
// Columns of float layouts unpacked at a time: 16 KiB.
inline constexpr size_t kChunkCols = 256;

// What a kernel reads of a quantised tile, from some block on.
struct QuantArgs {
  const int8_t* codes;
  const float* scales;
  const int32_t* aux;
  size_t width;
  size_t n_blocks;
};

// acc[T][16] = (panel from its first block) · tokens; `stride` floats from one panel's acc to the next.
using MultiplyPacked = void (*)(const PackedWeight& weight, size_t first_panel, size_t n_panels,
                                const QuantArgs& tokens, float* acc);
using Unpack = void (*)(const PackedWeight& weight, size_t panel, size_t first_block, size_t n_blocks,
                        const UnpackedBlocks& out);
// acc[T][16] += blocks · tokens.
using MultiplyUnpacked = void (*)(const UnpackedBlocks& blocks, const QuantArgs& tokens, float* acc);
// The same for kJointPanels panels and the first n_tokens of a tile, or up to kJointTokens − 1 more; `stride`
// floats from one panel's acc to the next.
inline constexpr size_t kJointTokens = 4;
using MultiplyJoint = void (*)(const std::array<UnpackedBlocks, kJointPanels>& panels,
                               const QuantArgs& tokens, float* acc, size_t stride, size_t n_tokens);

// Float layouts. x: [cols][width] from the first of T tokens on; acc: [T][2][16], added to.
using MultiplyFloat = void (*)(const uint8_t* panel, size_t cols, const float* x, size_t width, float* acc);
// Columns [first, first + n) of a panel as floats [n][16]; `first` is even.
using UnpackFloat = void (*)(const uint8_t* panel, size_t first, size_t n, float* out);

// Kernels for 1, 2, 4, 8 and 16 tokens.
inline constexpr size_t kTokenSteps = 5;
constexpr size_t token_step(size_t n_tokens) {
  size_t step = 0;
  while ((size_t{1} << step) < n_tokens) ++step;
  return step;
}

struct QuantKernels {
  std::array<MultiplyPacked, 4> multiply{};  // 1, 2, 4, 8 tokens
  Unpack unpack = nullptr;
  std::array<MultiplyUnpacked, kTokenSteps> multiply_unpacked{};
  MultiplyJoint multiply_joint = nullptr;  // may be null
  // Called around a run of multiply_unpacked (AMX: tile configuration); null elsewhere.
  void (*enter)() = nullptr;
  void (*leave)() = nullptr;
};
struct FloatKernels {
  UnpackFloat unpack = nullptr;                           // not for F32, which is used where it stands
  std::array<MultiplyFloat, kFloatTokenTile> multiply{};  // by tokens − 1, null past the largest
};

// Everything one instruction set supplies.
struct MatmulKernels {
  Isa isa = Isa::kBaseline;
  // Rounds blocks [first, last) of rows[0 … n) to 8 bits a term and stores them in the tile; other slots
  // become 0.
  void (*quantize)(std::span<const float* const> rows, size_t first, size_t last,
                   const QuantTile& tile) = nullptr;
  int32_t sum_bias = 0;  // what integer sums start from: AuxKind
  std::array<QuantKernels, kPackedLayouts> quant{};
  std::array<FloatKernels, 4> floats{};  // F32, F16, BF16, F8
  size_t max_float_tokens = 0;
  TileKernels tiles;
};
const MatmulKernels& matmul_kernels(Isa isa);  // isa ≤ detected_isa()

// One piece of a product: panels [first_panel, first_panel + n_panels) × tokens [first_token, + n_tokens).
// Tokens of a quantised product are slots.
struct MatmulTask {
  const PackedWeight* weight = nullptr;
  std::span<const float> bias;  // [N] or empty
  MatView<float> out;           // [M, N]
  size_t first_panel = 0, n_panels = 0;
  size_t first_token = 0, n_tokens = 0;  // first_token starts a tile
};
// Quantised activations of all tokens of a product: [tiles] of equal width.
struct QuantActivations {
  QuantTile first;
  size_t n_tokens = 0;  // slots
  size_t n_blocks = 0;
  const int32_t* aux = nullptr;  // of the weight's AuxKind, tile after tile

  QuantTile tile(size_t t) const {
    const size_t n = t * n_blocks * first.width;
    return {first.codes + 32 * n, first.scales + n, first.sums + 2 * n, first.width, first.terms};
  }
};
// Float activations: [tiles][cols][width].
struct FloatActivations {
  const float* x = nullptr;
  size_t n_tokens = 0;
  size_t width = 0;
};

// Tokens per tile for a product of n tokens.
size_t quant_tile_width(size_t n_tokens);
size_t float_tile_width(size_t n_tokens);

// Bounds of a task, and the scratch one thread needs for tasks within them.
inline constexpr size_t kTaskTokens = 288;  // a multiple of both tiles
inline constexpr size_t kTaskPanels = 12;   // past kDirectTokens; whole groups of kJointPanels
size_t matmul_scratch_floats();

void matmul(const MatmulKernels& kernels, const MatmulTask& task, const QuantActivations& x, float* scratch);
void matmul(const MatmulKernels& kernels, const MatmulTask& task, const FloatActivations& x, float* scratch);

}  // namespace atelier
