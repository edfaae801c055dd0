// The files a KvStore is made of: a head, then pages, under one checksum.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/descriptor.h"
#include "io/sha256.h"

namespace atelier {

// What a tail says about the pages that follow: of windowed groups, the first that is there.
struct KvTailHead {
  static constexpr size_t kMaxGroups = 8;
  std::array<uint64_t, kMaxGroups> first_pages{};
};

struct KvFile {
  std::filesystem::path path{};
  Sha256 digest{};                   // of what it stands for; checked when it is read
  std::optional<KvTailHead> head{};  // of a tail
  std::vector<std::span<const std::byte>> parts{};
};

// Complete or not at all, as far as other processes see; after a crash of the machine the checksum tells.
// False: it could not be written, and nothing is left of it.
bool write_kv_file(const KvFile& file);

class KvFileReader {
 public:
  // Nothing where the file is missing or not one that stands for `digest`. `head`: of a tail, else null.
  static std::optional<KvFileReader> open(const std::filesystem::path& path, const Sha256& digest,
                                          KvTailHead* head);
  // Fills `parts`; false where the file has another size or its bytes are not those written.
  bool read(std::span<const std::span<std::byte>> parts);

 private:
  KvFileReader() = default;
  Descriptor fd_;
  uint64_t at_ = 0, size_ = 0, checksum_ = 0;
  std::optional<KvTailHead> head_;
};

// Asks the system to read it ahead.
void prefetch_kv_file(const std::filesystem::path& path);
// Removes the oldest files below `folder` until the rest have at most `max_bytes`.
void bound_kv_files(const std::filesystem::path& folder, uint64_t max_bytes);

}  // namespace atelier
