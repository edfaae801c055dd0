#include "cli/npy.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/file.h"

namespace atelier::cli {
namespace {

// Format 1.0: magic, version, header length, a Python dictionary padded with spaces to a multiple of 64, '\n'
// at its end.
std::string npy_header(size_t rows, size_t cols) {
  std::string dictionary =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  constexpr size_t kPreamble = 10;
  const size_t padded = round_up(kPreamble + dictionary.size() + 1, size_t{64}) - kPreamble;
  dictionary.resize(padded - 1, ' ');
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(padded & 0xff);
  header += static_cast<char>(padded >> 8);
  return header + dictionary;
}

}  // namespace

Result<NpyWriter> NpyWriter::create(const std::filesystem::path& path, size_t rows, size_t cols) {
  std::filesystem::path draft = path;
  draft += fmt::format(".{}.part", ::getpid());
  std::FILE* file = std::fopen(draft.c_str(), "wb");
  if (file == nullptr) return tl::unexpected<Error>(errno_error(path, errno));
  NpyWriter writer(path, std::move(draft), file);
  const std::string header = npy_header(rows, cols);
  if (std::fwrite(header.data(), 1, header.size(), file) != header.size())
    return tl::unexpected<Error>(errno_error(path, errno));
  return writer;
}

NpyWriter::NpyWriter(NpyWriter&& other) noexcept
    : path_(std::move(other.path_)),
      draft_(std::move(other.draft_)),
      file_(std::exchange(other.file_, nullptr)) {}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(draft_.c_str());
}

Status NpyWriter::append(std::span<const float> row) {
  if (std::fwrite(row.data(), sizeof(float), row.size(), file_) == row.size()) return {};
  return tl::unexpected<Error>(errno_error(path_, errno));
}

Status NpyWriter::finish() {
  const bool written = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
  const bool named = written && ::rename(draft_.c_str(), path_.c_str()) == 0;
  const int error_number = errno;
  std::fclose(std::exchange(file_, nullptr));
  if (named) return {};
  ::unlink(draft_.c_str());
  return tl::unexpected<Error>(errno_error(path_, error_number));
}

}  // namespace atelier::cli
