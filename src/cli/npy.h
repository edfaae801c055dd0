// NumPy's .npy files of float32 matrices.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

#include "base/result.h"

namespace atelier::cli {

// Rows are appended one by one to a draft beside `path`, which gets its name in finish(); otherwise it is
// removed.
class NpyWriter {
 public:
  static Result<NpyWriter> create(const std::filesystem::path& path, size_t rows, size_t cols);
  NpyWriter(NpyWriter&& other) noexcept;
  NpyWriter& operator=(NpyWriter&&) = delete;
  ~NpyWriter();
  Status append(std::span<const float> row);
  Status finish();

 private:
  NpyWriter(std::filesystem::path path, std::filesystem::path draft, std::FILE* file)
      : path_(std::move(path)), draft_(std::move(draft)), file_(file) {}
  std::filesystem::path path_, draft_;
  std::FILE* file_;
};

}  // namespace atelier::cli
