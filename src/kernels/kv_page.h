// How keys and values of one layer lie in a page of the KV cache.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atelier {

// Positions per page. 64 f16 positions of one key element are two cache lines: attention reads K down the
// positions, so scores of 64 keys come out of vertical FMAs without a horizontal reduction.
inline constexpr size_t kKvPageTokens = 64;

enum class KvType : uint8_t { kF16, kF32 };

// One layer's share of a page: for each kv head K transposed [k_dim][kKvPageTokens], then V
// [kKvPageTokens][v_dim].
struct KvGeometry {
  size_t kv_heads = 0;
  size_t k_dim = 0;
  size_t v_dim = 0;
  KvType type = KvType::kF16;

  size_t elem_bytes() const { return type == KvType::kF16 ? 2 : 4; }
  size_t head_bytes() const { return (k_dim + v_dim) * kKvPageTokens * elem_bytes(); }
  size_t page_bytes() const { return kv_heads * head_bytes(); }
  size_t k_offset(size_t head) const { return head * head_bytes(); }
  size_t v_offset(size_t head) const { return head * head_bytes() + k_dim * kKvPageTokens * elem_bytes(); }
};

}  // namespace atelier
