#include "ops/weight.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "base/threads.h"
#include "formats/decode.h"
#include "formats/encode.h"
#include "formats/fp8.h"
#include "kernels/cpu/matmul/packed.h"

namespace atelier {

Weight::Weight() = default;
Weight::Weight(WeightSource source) : source_(std::move(source)), packed_dtype_(source_.dtype) {}
Weight::Weight(Weight&&) noexcept = default;
Weight& Weight::operator=(Weight&&) noexcept = default;
Weight::~Weight() = default;

void Weight::decode_row(size_t r, std::span<float> out) const {
  ATELIER_CHECK(r < rows() && out.size() == cols());
  const EncodedRow row = source_.rows[r];
  if (row.scales != nullptr) {
    if (source_.dtype == DType::kF8E4M3)
      return decode_f8e4m3_tiled({row.data, cols()},
                                 {row.scales, ceil_div(cols(), kF8TileCols) * sizeof(float)}, out);
    ATELIER_CHECK(source_.dtype == DType::kMXFP4);
    return decode_mxfp4_split({row.data, cols() / 2}, {row.scales, cols() / 32}, out);
  }
  const auto bytes = row_bytes(source_.dtype, cols());
  ATELIER_CHECK(bytes.has_value());
  atelier::decode_row(source_.dtype, {row.data, *bytes}, out);
}

void Weight::pack_as(DType dtype) {
  ATELIER_CHECK(!is_packed() && (dtype == source_.dtype || (can_encode(dtype) && row_bytes(dtype, cols()))));
  packed_dtype_ = dtype;
}

void Weight::pack(ThreadPool& pool) {
  if (is_packed()) return;
  if (is_encoded_anew()) {
    const size_t bytes = *row_bytes(packed_dtype_, cols());
    const RawBuffer data(rows() * bytes);  // until it is packed
    pool.run(rows(), [&](size_t r, size_t) {
      std::vector<float> values(cols());
      decode_row(r, values);
      encode_row(packed_dtype_, values, {data.data() + r * bytes, bytes});
    });
    const EncodedRows encoded({.data = data.data()}, {.data = static_cast<ptrdiff_t>(bytes)}, rows());
    packed_ = std::make_unique<PackedWeight>(packed_dtype_, encoded, cols(), pool, RowsInPlace::kCopied);
    return;
  }
  packed_ = std::make_unique<PackedWeight>(source_.dtype, source_.rows, source_.cols, pool);
}

size_t Weight::packed_bytes() const {
  if (is_packed()) return packed_->bytes();
  if (is_encoded_anew()) return streamed_bytes();  // a copy, never in place
  return atelier::packed_bytes(dtype(), source_.rows, cols());
}

size_t Weight::in_place_bytes() const {
  const size_t packed = packed_bytes(), streamed = streamed_bytes();
  return streamed - std::min(streamed, packed);
}

size_t Weight::streamed_bytes() const { return atelier::streamed_bytes(packed_dtype_, rows(), cols()); }

}  // namespace atelier
