#include "ops/weight.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/threads.h"
#include "formats/decode.h"
#include "kernels/cpu/matmul/packed.h"

namespace atelier {

Weight::Weight() = default;
Weight::Weight(WeightSource source) : source_(std::move(source)) {}
Weight::Weight(Weight&&) noexcept = default;
Weight& Weight::operator=(Weight&&) noexcept = default;
Weight::~Weight() = default;

void Weight::decode_row(size_t r, std::span<float> out) const {
  ATELIER_CHECK(r < rows() && out.size() == cols());
  const EncodedRow& row = source_.rows[r];
  if (row.scales != nullptr) {
    ATELIER_CHECK(source_.dtype == DType::kMXFP4);
    return decode_mxfp4_split({row.data, cols() / 2}, {row.scales, cols() / 32}, out);
  }
  const auto bytes = row_bytes(source_.dtype, cols());
  ATELIER_CHECK(bytes.has_value());
  atelier::decode_row(source_.dtype, {row.data, *bytes}, out);
}

void Weight::pack(ThreadPool& pool) {
  if (is_packed()) return;
  packed_ = std::make_unique<PackedWeight>(source_.dtype, source_.rows, source_.cols, pool);
}

size_t Weight::packed_bytes() const {
  return is_packed() ? packed_->bytes() : atelier::packed_bytes(dtype(), source_.rows, cols());
}

size_t Weight::in_place_bytes() const {
  const size_t packed = packed_bytes(), streamed = streamed_bytes();
  return streamed - std::min(streamed, packed);
}

size_t Weight::streamed_bytes() const { return atelier::streamed_bytes(dtype(), rows(), cols()); }

}  // namespace atelier
