// Activations on their way into matrix products: rows of x in the forms that packed weights want them in.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/cpu/matmul/matmul.h"
#include "ops/context.h"

namespace atelier::ops {

// How a product takes its activations; which of them follows from the weight and the number of rows.
enum class InputForm : uint8_t {
  kQuant,  // 8-bit codes
  kFloat,  // float32
  kTiles,  // bf16
};
InputForm input_form(const Context& ctx, const MatmulKernels& kernels, const PackedWeight& weight,
                     size_t n_rows);

// Kinds of AuxKind one input is needed in: as many as there are storage formats would be plenty.
inline constexpr size_t kMaxAux = 8;

// Rows that one or more products read. First every product says what it needs, then prepare_inputs() makes
// it.
struct ProductInput {
  std::span<const float* const> rows;
  size_t cols = 0;
  size_t terms = 1;  // slots a row takes when quantised

  bool is_quant = false, is_float = false;
  std::array<bool, 2> is_tiles = {};  // by terms − 1

  QuantActivations quant;
  std::array<AuxKind, kMaxAux> aux_kinds;
  std::array<int32_t*, kMaxAux> aux;
  size_t n_aux = 0;
  FloatActivations floats;
  float* float_tiles = nullptr;  // where floats.x is to be written; null if x serves as it is
  std::array<TileActivations, 2> tiles;
  std::array<uint16_t*, 2> tile_values = {};  // where tiles[i].x is to be written

  size_t n_slots() const { return rows.size() * terms; }
};

// Notes that `weight` is multiplied with the input in this form; returns the index of its aux.
size_t add_need(ProductInput& input, const MatmulKernels& kernels, const PackedWeight& weight,
                InputForm form);

// Makes what was asked for, in ctx.arena(), on all threads.
void prepare_inputs(Context& ctx, const MatmulKernels& kernels, std::span<ProductInput> inputs);

}  // namespace atelier::ops
