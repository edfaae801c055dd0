// How keys and values of one layer lie in a page of the KV cache.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atelier {

// Positions per page. 64 f16 positions of one key element are two cache lines: attention reads K down the
// positions, so scores of 64 keys come out of vertical FMAs without a horizontal reduction.
inline constexpr size_t kKvPageTokens = 64;

// k8: codes of 8 bits, and a float32 scale for every kKvBlock elements of a key or value.
enum class KvType : uint8_t { kF16, kF32, k8 };

// Elements of a position's key (or value) that share a scale in 8 bits; the last block may be shorter. Small,
// because keys have a few dimensions far larger than the others.
inline constexpr size_t kKvBlock = 32;

// One layer's share of a page: for each kv head K transposed [k_dim][kKvPageTokens], then V
// [kKvPageTokens][v_dim]. In 8 bits K is followed by its scales [k_blocks][kKvPageTokens], V by its own
// [kKvPageTokens][v_blocks]; a value is code · scale.
struct KvGeometry {
  size_t kv_heads = 0;
  size_t k_dim = 0;
  size_t v_dim = 0;
  KvType type = KvType::kF16;

  size_t elem_bytes() const { return type == KvType::k8 ? 1 : type == KvType::kF16 ? 2 : 4; }
  size_t k_blocks() const { return (k_dim + kKvBlock - 1) / kKvBlock; }
  size_t v_blocks() const { return (v_dim + kKvBlock - 1) / kKvBlock; }
  size_t head_bytes() const { return part_bytes(k_dim, k_blocks()) + part_bytes(v_dim, v_blocks()); }
  size_t page_bytes() const { return kv_heads * head_bytes(); }
  size_t k_offset(size_t head) const { return head * head_bytes(); }
  size_t v_offset(size_t head) const { return head * head_bytes() + part_bytes(k_dim, k_blocks()); }
  // Of 8 bits.
  size_t k_scales_offset(size_t head) const { return k_offset(head) + k_dim * kKvPageTokens; }
  size_t v_scales_offset(size_t head) const { return v_offset(head) + v_dim * kKvPageTokens; }

 private:
  size_t part_bytes(size_t dim, size_t blocks) const {
    return kKvPageTokens * (dim * elem_bytes() + (type == KvType::k8 ? blocks * sizeof(float) : 0));
  }
};

}  // namespace atelier
