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

const std::byte* page_of(const AttentionTile& tile, size_t position) {
  return tile.pages[position / kKvPageTokens - tile.first_page];
}

double score(const AttentionTile& tile, std::span<const float> q, size_t position) {
  const std::byte* keys = page_of(tile, position) + tile.kv.k_offset(tile.kv_head);
  const size_t slot = position % kKvPageTokens;
  double dot = 0;
  for (size_t d = 0; d < tile.kv.k_dim; ++d)
    dot += double{q[d]} * load(tile.kv.type, keys, d * kKvPageTokens + slot);
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
      for (size_t p = keys.first; p < keys.end; ++p) {
        const std::byte* values = page_of(tile, p) + tile.kv.v_offset(tile.kv_head);
        total += scores[p - keys.first] * load(tile.kv.type, values, p % kKvPageTokens * v_dim + d);
      }
      out_row[d] = static_cast<float>(total / sum);
    }
  }
}

}  // namespace atelier::kernels
