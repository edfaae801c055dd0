// Turns up to 16 encoded rows into one panel.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/matmul/packed.h"

namespace atelier {

// `panel` is zero on entry, of packed_panel_bytes(packed_format(dtype).layout, cols) bytes.
void pack_panel(DType dtype, std::span<const EncodedRow> rows, size_t cols, uint8_t* panel);

}  // namespace atelier
