#include "ops/weight.h"

#include <algorithm>
#include <array>
#include <cstring>
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
    pool.run(rows(), [&](size_t r, size_t) { encoded_row(r, data.data(), r); });
    const EncodedRows encoded({.data = data.data()}, {.data = static_cast<ptrdiff_t>(bytes)}, rows());
    packed_ = std::make_unique<PackedWeight>(packed_dtype_, encoded, cols(), pool, RowsInPlace::kCopied);
    return;
  }
  packed_ = std::make_unique<PackedWeight>(source_.dtype, source_.rows, source_.cols, pool);
}

size_t Weight::n_panels() const { return ceil_div(rows(), kPanelRows); }
size_t Weight::panel_bytes() const { return packed_panel_bytes(packed_format(packed_dtype_).layout, cols()); }

void Weight::copy_panels(size_t first_panel, std::span<uint8_t> out) const {
  const size_t bytes = panel_bytes();
  ATELIER_CHECK(out.size() % bytes == 0 && first_panel + out.size() / bytes <= n_panels());
  RawBuffer encoded(is_encoded_anew() ? kPanelRows * *row_bytes(packed_dtype_, cols()) : 0);
  for (size_t p = first_panel; !out.empty(); ++p, out = out.subspan(bytes)) {
    if (is_packed() && p >= packed_->n_row_panels()) {
      std::memcpy(out.data(), packed_->panel(p), bytes);
      continue;
    }
    std::array<EncodedRow, kPanelRows> panel_rows;
    const size_t begin = p * kPanelRows, n = std::min(kPanelRows, rows() - begin);
    for (size_t r = 0; r < n; ++r) panel_rows[r] = encoded_row(begin + r, encoded.data(), r);
    pack_rows(packed_dtype_, std::span(panel_rows).first(n), cols(), out.first(bytes));
  }
}

EncodedRow Weight::encoded_row(size_t r, std::byte* scratch, size_t at) const {
  if (!is_encoded_anew()) return source_.rows[r];
  const size_t bytes = *row_bytes(packed_dtype_, cols());
  std::vector<float> values(cols());
  decode_row(r, values);
  encode_row(packed_dtype_, values, {scratch + at * bytes, bytes});
  return {.data = scratch + at * bytes};
}

void Weight::use_panels(std::span<const uint8_t> panels) {
  ATELIER_CHECK(!is_packed());
  packed_ = std::make_unique<PackedWeight>(packed_dtype_, rows(), cols(), panels);
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
