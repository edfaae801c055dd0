// Where the rows of a weight matrix stand in a checkpoint.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace atelier {

// One encoded row of a weight matrix in its storage format.
struct EncodedRow {
  const std::byte* data = nullptr;
  // Companion scales: OpenAI's MXFP4: E8M0, one per 32 columns; FP8: float32, one per 128. Null otherwise.
  const std::byte* scales = nullptr;
};

// The rows of a matrix: at equal distances, as nearly all are, or listed one by one. A model of experts has
// millions of rows; a table of them would take longer to fill than the rest of loading.
class EncodedRows {
 public:
  struct Strides {
    ptrdiff_t data = 0;
    ptrdiff_t scales = 0;  // 0 without scales
  };

  EncodedRows() = default;
  EncodedRows(EncodedRow first, Strides strides, size_t n) : first_(first), strides_(strides), size_(n) {}
  EncodedRows(std::vector<EncodedRow> rows) : listed_(std::move(rows)), size_(listed_.size()) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  EncodedRow operator[](size_t r) const {
    if (!listed_.empty()) return listed_[r];
    const auto i = static_cast<ptrdiff_t>(r);
    return {first_.data + i * strides_.data,
            first_.scales == nullptr ? nullptr : first_.scales + i * strides_.scales};
  }

  // The distances between rows that follow each other, if they are equal. Looks at every listed row.
  std::optional<Strides> strides() const {
    if (listed_.empty() || size_ < 2) return strides_;
    const auto distances = [](const EncodedRow& a, const EncodedRow& b) {
      return Strides{b.data - a.data, a.scales == nullptr ? 0 : b.scales - a.scales};
    };
    const Strides all = distances(listed_[0], listed_[1]);
    for (size_t r = 2; r < size_; ++r) {
      const Strides here = distances(listed_[r - 1], listed_[r]);
      if (here.data != all.data || here.scales != all.scales) return std::nullopt;
    }
    return all;
  }

 private:
  EncodedRow first_;
  Strides strides_;
  std::vector<EncodedRow> listed_;  // empty: from first_ on
  size_t size_ = 0;
};

}  // namespace atelier
