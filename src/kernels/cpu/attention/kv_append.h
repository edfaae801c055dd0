// Writing new keys and values into pages of the cache.
#pragma once

#include <cstddef>
#include <span>

#include "base/mat_view.h"
#include "kernels/kv_page.h"

namespace atelier::kernels {

// Row r of k and v (all kv heads: [n, kv_heads · k_dim], [n, kv_heads · v_dim]) becomes slot first_slot + r
// of `page`, for kv heads [first_head, end_head); n ≤ kKvPageTokens − first_slot. f16: rounded to nearest,
// ties to even; finite values past ±65504 become ±65504, since an infinite value would turn the rows of a
// tile that do not see it into NaN. 8 bits: to nearest, scale = largest magnitude of the block / 127, the
// same codes on every instruction set.
void kv_append(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
               size_t end_head, std::byte* page, size_t first_slot);
void kv_append_ref(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
                   size_t end_head, std::byte* page, size_t first_slot);

}  // namespace atelier::kernels
