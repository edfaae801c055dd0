#include <algorithm>
#include <cmath>
#include <limits>

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

// One block in 8 bits: codes[i · stride] = x[i] / scale, to nearest. Infinite values count as the largest
// finite one; a NaN makes the whole block NaN. Below kSmallest the inverse would overflow: all is zero.
float encode_block(std::span<const float> x, int8_t* codes, size_t stride) {
  constexpr float kSmallest = 0x1p-100f, kLargest = std::numeric_limits<float>::max();
  float max = 0;
  for (const float value : x) {
    const float magnitude = std::fabs(value);
    if (!(magnitude <= max)) max = magnitude;  // takes NaN, and then what follows it
    if (std::isnan(magnitude)) break;
  }
  const bool is_nan = std::isnan(max);
  max = std::min(max, kLargest);
  const float inverse = is_nan || max < kSmallest ? 0.0f : 127.0f / max;
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = inverse == 0.0f ? 0.0f : std::clamp(x[i], -kLargest, kLargest) * inverse;
    codes[i * stride] = static_cast<int8_t>(code + (code < 0 ? -0.5f : 0.5f));
  }
  if (is_nan) return std::numeric_limits<float>::quiet_NaN();
  return inverse == 0.0f ? 0.0f : max / 127.0f;
}

void append_codes(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t head,
                  std::byte* page, size_t first_slot) {
  auto* keys = reinterpret_cast<int8_t*>(page + kv.k_offset(head));
  auto* values = reinterpret_cast<int8_t*>(page + kv.v_offset(head));
  auto* k_scales = reinterpret_cast<float*>(page + kv.k_scales_offset(head));
  auto* v_scales = reinterpret_cast<float*>(page + kv.v_scales_offset(head));
  for (size_t r = 0; r < k.rows; ++r) {
    const size_t slot = first_slot + r;
    const std::span<const float> key = k.row(r).subspan(head * kv.k_dim, kv.k_dim),
                                 value = v.row(r).subspan(head * kv.v_dim, kv.v_dim);
    for (size_t b = 0; b < kv.k_blocks(); ++b) {
      const size_t first = b * kKvBlock;
      k_scales[b * kKvPageTokens + slot] =
          encode_block(key.subspan(first, std::min(kKvBlock, kv.k_dim - first)),
                       keys + first * kKvPageTokens + slot, kKvPageTokens);
    }
    for (size_t b = 0; b < kv.v_blocks(); ++b) {
      const size_t first = b * kKvBlock;
      v_scales[slot * kv.v_blocks() + b] = encode_block(
          value.subspan(first, std::min(kKvBlock, kv.v_dim - first)), values + slot * kv.v_dim + first, 1);
    }
  }
}

}  // namespace

void kv_append_ref(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
                   size_t end_head, std::byte* page, size_t first_slot) {
  for (size_t head = first_head; head < end_head; ++head) {
    if (kv.type == KvType::k8) {
      append_codes(kv, k, v, head, page, first_slot);
      continue;
    }
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
