// A weight matrix as ops see it: where its rows stand in the checkpoint, and its packed form once it has one.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "formats/dtype.h"
#include "formats/encoded_row.h"

namespace atelier {

// The rows [0, rows) of a logical matrix [rows, cols], wherever they stand: fused or de-interleaved rows of a
// mapped tensor cost nothing, permuted ones a list. Valid as long as the checkpoint is mapped.
struct WeightSource {
  DType dtype = DType::kF32;  // kMXFP4 with scales set means OpenAI's split layout; kF8E4M3 has scales always
  size_t cols = 0;
  EncodedRows rows;
};

class PackedWeight;  // src/kernels: panels of 16 rows

// A matrix [rows, cols] that activations [M, cols] are multiplied with: out[m, r] = Σ_c x[m, c] · w[r, c].
class Weight {
 public:
  Weight();  // empty; out of line, as PackedWeight is incomplete here
  Weight(WeightSource source);
  Weight(Weight&&) noexcept;
  Weight& operator=(Weight&&) noexcept;
  ~Weight();

  size_t rows() const { return source_.rows.size(); }
  size_t cols() const { return source_.cols; }
  DType dtype() const { return source_.dtype; }
  bool empty() const { return source_.rows.empty(); }
  const WeightSource& source() const { return source_; }

  // Row `r` decoded exactly; out.size() == cols().
  void decode_row(size_t r, std::span<float> out) const;

  // The format the packed form is made from: the checkpoint's own, or one that rows are encoded in on
  // packing. Before pack(); can_encode(dtype), and the columns are whole blocks.
  void pack_as(DType dtype);
  DType packed_dtype() const { return packed_dtype_; }
  // Builds the packed form, panels in parallel. Idempotent; needed before linear() on the fast path.
  void pack(class ThreadPool& pool);
  bool is_packed() const { return packed_ != nullptr; }
  // The packed form panel by panel, for who keeps it in a file: `out` is a whole number of panels, the first
  // of them `first_panel`, whether or not products use the rows in place.
  size_t n_panels() const;
  size_t panel_bytes() const;
  void copy_panels(size_t first_panel, std::span<uint8_t> out) const;
  // Instead of pack(): all panels as copy_panels() gave them, which must outlive this and stay unchanged.
  void use_panels(std::span<const uint8_t> panels);
  const PackedWeight& packed() const { return *packed_; }
  size_t packed_bytes() const;    // memory the packed form takes or would take
  size_t in_place_bytes() const;  // of the checkpoint's own that products read; 0 where all is packed
  size_t streamed_bytes() const;  // what one product reads of it; more where rows are used in place

 private:
  bool is_encoded_anew() const { return packed_dtype_ != source_.dtype; }
  // Row `r` in the packed form's format: where it stands, or encoded as row `at` of `scratch`.
  EncodedRow encoded_row(size_t r, std::byte* scratch, size_t at) const;

  WeightSource source_;
  DType packed_dtype_ = DType::kF32;
  std::unique_ptr<PackedWeight> packed_;
};

}  // namespace atelier
