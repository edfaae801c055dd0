#include "kernels/cpu/attention/kv_append.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention/kv_append.cpp"
#include "kernels/cpu/simd_targets.h"
//
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace atelier::kernels::HWY_NAMESPACE {
namespace {

using Half = hwy::float16_t;

#if HWY_TARGET != HWY_SSE4  // there Highway converts in software and truncates
HWY_INLINE void store_stored_type(VecF v, Half* to) {
  const Floats d;
  const auto bounded = at_least(hn::Set(d, -65504.0f), at_most(hn::Set(d, 65504.0f), v));
  const hn::Rebind<Half, Floats> d16;
  hn::StoreU(hn::DemoteTo(d16, bounded), d16, to);
}
#endif
HWY_INLINE void store_stored_type(VecF v, float* to) { hn::StoreU(v, Floats(), to); }

template <class T>
HWY_INLINE void convert_row(const float* from, size_t n, T* to) {
  const Floats d;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_stored_type(hn::LoadU(d, from + i), to + i);
  if (i == n) return;
  T rest[kLanes];
  store_stored_type(load_n(d, from + i, n - i), rest);
  std::memcpy(to + i, rest, (n - i) * sizeof(T));
}

// Keys of one head: converted in strips of columns that stay in L1, then written down the positions.
template <class T>
void append_keys(MatView<const float> k, size_t column, size_t k_dim, T* keys, size_t first_slot) {
  constexpr size_t kStrip = 32;
  T strip[kKvPageTokens][kStrip];
  for (size_t d0 = 0; d0 < k_dim; d0 += kStrip) {
    const size_t width = std::min(kStrip, k_dim - d0);
    for (size_t r = 0; r < k.rows; ++r) convert_row(k.data + r * k.stride + column + d0, width, strip[r]);
    for (size_t d = 0; d < width; ++d) {
      T* to = keys + (d0 + d) * kKvPageTokens + first_slot;
      for (size_t r = 0; r < k.rows; ++r) std::memcpy(to + r, &strip[r][d], sizeof(T));
    }
  }
}

template <class T>
void append_heads(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
                  size_t end_head, std::byte* page, size_t first_slot) {
  for (size_t head = first_head; head < end_head; ++head) {
    append_keys(k, head * kv.k_dim, kv.k_dim, reinterpret_cast<T*>(page + kv.k_offset(head)), first_slot);
    T* values = reinterpret_cast<T*>(page + kv.v_offset(head)) + first_slot * kv.v_dim;
    for (size_t r = 0; r < v.rows; ++r)
      convert_row(v.data + r * v.stride + head * kv.v_dim, kv.v_dim, values + r * kv.v_dim);
  }
}

void kv_append(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
               size_t end_head, std::byte* page, size_t first_slot) {
  if (kv.type == KvType::kF32) return append_heads<float>(kv, k, v, first_head, end_head, page, first_slot);
  // A thousand elements a token and layer: microseconds beside the products that made them.
  if (kv.type == KvType::k8) return kv_append_ref(kv, k, v, first_head, end_head, page, first_slot);
#if HWY_TARGET == HWY_SSE4
  kv_append_ref(kv, k, v, first_head, end_head, page, first_slot);
#else
  append_heads<Half>(kv, k, v, first_head, end_head, page, first_slot);
#endif
}

}  // namespace
}  // namespace atelier::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace atelier::kernels {

void kv_append(const KvGeometry& kv, MatView<const float> k, MatView<const float> v, size_t first_head,
               size_t end_head, std::byte* page, size_t first_slot) {
  ATELIER_SIMD(kv_append)(kv, k, v, first_head, end_head, page, first_slot);
}

}  // namespace atelier::kernels
#endif  // HWY_ONCE
