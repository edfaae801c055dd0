#include <algorithm>
#include <cmath>

#include "formats/float16.h"
#include "kernels/cpu/attention/attention.h"

namespace atelier::kernels {
namespace {

double load(KvType type, const std::byte* base, size_t index) {
  if (type == KvType::kF32) return double{reinterpret_cast<const float*>(base)[index]};
  return double{f16_to_f32(reinterpret_cast<const uint16_t*>(base)[index])};
}

double load_code(const std::byte* codes, size_t index, const std::byte* scales, size_t block) {
  return double{static_cast<float>(reinterpret_cast<const int8_t*>(codes)[index]) *
                reinterpret_cast<const float*>(scales)[block]};
}

double load_key(const KvGeometry& kv, size_t head, const std::byte* page, size_t slot, size_t d) {
  const std::byte* keys = page + kv.k_offset(head);
  const size_t index = d * kKvPageTokens + slot;
  if (kv.type != KvType::k8) return load(kv.type, keys, index);
  return load_code(keys, index, page + kv.k_scales_offset(head), d / kKvBlock * kKvPageTokens + slot);
}

double load_value(const KvGeometry& kv, size_t head, const std::byte* page, size_t slot, size_t d) {
  const std::byte* values = page + kv.v_offset(head);
  const size_t index = slot * kv.v_dim + d;
  if (kv.type != KvType::k8) return load(kv.type, values, index);
  return load_code(values, index, page + kv.v_scales_offset(head), slot * kv.v_blocks() + d / kKvBlock);
}

const std::byte* page_of(const AttentionTile& tile, size_t position) {
  return tile.pages[position / kKvPageTokens - tile.first_page];
}

double score(const AttentionTile& tile, std::span<const float> q, size_t position) {
  const std::byte* page = page_of(tile, position);
  const size_t slot = position % kKvPageTokens;
  double dot = 0;
  for (size_t d = 0; d < tile.kv.k_dim; ++d)
    dot += double{q[d]} * load_key(tile.kv, tile.kv_head, page, slot, d);
  const double scaled = dot * double{tile.scale};
  return tile.softcap > 0 ? double{tile.softcap} * std::tanh(scaled / double{tile.softcap}) : scaled;
}

}  // namespace

void attention_ref(const AttentionTile& tile, std::span<const float> sinks, std::span<double> scores,
                   MatView<float> out) {
  const size_t k_dim = tile.kv.k_dim, v_dim = tile.kv.v_dim;
  for (size_t row = 0; row < tile.n_rows; ++row) {
    const size_t head = (tile.first_row + row) % tile.group;
    const std::span<const float> q = tile.q.row(tile.token(row)).subspan(head * k_dim, k_dim);
    const KeyRange keys = tile.keys(row);
    double max = sinks.empty() ? -HUGE_VAL : double{sinks[head]};
    for (size_t p = keys.first; p < keys.end; ++p) {
      scores[p - keys.first] = score(tile, q, p);
      max = std::max(max, scores[p - keys.first]);
    }
    double sum = sinks.empty() ? 0.0 : std::exp(double{sinks[head]} - max);
    for (size_t i = 0; i < keys.end - keys.first; ++i) {
      scores[i] = std::exp(scores[i] - max);
      sum += scores[i];
    }
    const std::span<float> out_row = out.row(tile.token(row)).subspan(head * v_dim, v_dim);
    for (size_t d = 0; d < v_dim; ++d) {
      double total = 0;
      for (size_t p = keys.first; p < keys.end; ++p)
        total += scores[p - keys.first] *
                 load_value(tile.kv, tile.kv_head, page_of(tile, p), p % kKvPageTokens, d);
      out_row[d] = static_cast<float>(total / sum);
    }
  }
}

}  // namespace atelier::kernels
