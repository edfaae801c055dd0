#include <algorithm>

#include "formats/float16.h"
#include "kernels/cpu/attention/kv_append.h"

namespace atelier::kernels {
namespace {

// Comparisons are false for NaN, which passes through.
float saturate_f16(float value) {
  return value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value;
}

void store(KvType type, std::byte* base, size_t index, float value) {
  if (type == KvType::kF32) {
    reinterpret_cast<float*>(base)[index] = value;
  } else {
    reinterpret_cast<uint16_t*>(base)[index] = f32_to_f16(saturate_f16(value));
  }
}

}  // namespace

void kv_append_ref(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
                   size_t end_head, std::byte* page, size_t first_slot) {
  for (size_t head = first_head; head < end_head; ++head) {
    std::byte* keys = page + kv.k_offset(head);
    std::byte* values = page + kv.v_offset(head);
    for (size_t r = 0; r < k.rows; ++r) {
      const size_t slot = first_slot + r;
      for (size_t d = 0; d < kv.k_dim; ++d)
        store(kv.type, keys, d * kKvPageTokens + slot, k.row(r)[head * kv.k_dim + d]);
      for (size_t d = 0; d < kv.v_dim; ++d)
        store(kv.type, values, slot * kv.v_dim + d, v.row(r)[head * kv.v_dim + d]);
    }
  }
}

}  // namespace atelier::kernels
