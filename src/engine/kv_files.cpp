#include "engine/kv_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bounded_folder.h"

namespace atelier {
namespace {

constexpr std::array<char, 8> kKvMagic = {'A', 't', 'K', 'V', '0', '0', '1', '\n'};

struct KvHeader {
  std::array<char, 8> magic = kKvMagic;
  uint64_t checksum = 0;  // of all that follows the header
  Sha256 digest{};
};

// Finds what a crash or a failing disk does to a file, as fast as memory is read: four chains of
// multiplications. Sizes are multiples of 32 bytes: pages are whole cache lines.
class KvChecksum {
 public:
  void add(std::span<const std::byte> bytes) {
    constexpr uint64_t kPrime = 0x9e3779b97f4a7c15u;
    for (size_t at = 0; at + 32 <= bytes.size(); at += 32) {
      std::array<uint64_t, 4> words;
      std::memcpy(words.data(), bytes.data() + at, sizeof words);
      for (size_t lane = 0; lane < 4; ++lane)
        lanes_[lane] = std::rotl((lanes_[lane] ^ words[lane]) * kPrime, 29);
    }
  }
  uint64_t value() const {
    uint64_t all = 0;
    for (const uint64_t lane : lanes_) all = (std::rotl(all, 17) ^ lane) * 0xff51afd7ed558ccdu;
    return all ^ (all >> 32);
  }

 private:
  std::array<uint64_t, 4> lanes_ = {1, 2, 3, 4};
};

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool read_all(int fd, std::span<std::byte> bytes, uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

template <class T>
std::span<std::byte> raw(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

bool write_kv_file(const KvFile& file) {
  KvHeader header{.digest = file.digest};
  KvChecksum checksum;
  KvTailHead head = file.head.value_or(KvTailHead{});
  if (file.head) checksum.add(raw(head));
  for (const auto part : file.parts) checksum.add(part);
  header.checksum = checksum.value();
  const std::filesystem::path draft = file.path.string() + "." + std::to_string(::getpid());
  bool done = false;
  {
    const Descriptor fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    done =
        fd.get() >= 0 && write_all(fd.get(), raw(header)) && (!file.head || write_all(fd.get(), raw(head)));
    for (const auto part : file.parts) done = done && write_all(fd.get(), part);
  }
  done = done && ::rename(draft.c_str(), file.path.c_str()) == 0;
  if (!done) ::unlink(draft.c_str());
  return done;
}

std::optional<KvFileReader> KvFileReader::open(const std::filesystem::path& path, const Sha256& digest,
                                               KvTailHead* head) {
  KvFileReader reader;
  reader.fd_ = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  KvHeader header;
  if (reader.fd_.get() < 0 || ::fstat(reader.fd_.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      !read_all(reader.fd_.get(), raw(header), 0) || header.magic != kKvMagic || header.digest != digest)
    return std::nullopt;
  reader.size_ = static_cast<uint64_t>(info.st_size);
  reader.at_ = sizeof header;
  reader.checksum_ = header.checksum;
  if (head != nullptr) {
    if (!read_all(reader.fd_.get(), raw(*head), reader.at_)) return std::nullopt;
    reader.at_ += sizeof *head;
    reader.head_ = *head;
  }
  return reader;
}

bool KvFileReader::read(std::span<const std::span<std::byte>> parts) {
  KvChecksum checksum;
  if (head_) checksum.add(raw(*head_));
  for (const auto part : parts) {
    if (!read_all(fd_.get(), part, at_)) return false;
    checksum.add(part);
    at_ += part.size();
  }
  return at_ == size_ && checksum.value() == checksum_;
}

void prefetch_kv_file(const std::filesystem::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd.get() >= 0) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_WILLNEED);
}

void bound_kv_files(const std::filesystem::path& folder, uint64_t max_bytes) {
  constexpr std::array<std::string_view, 2> kExtensions = {".page", ".tail"};
  bound_folder(folder, kExtensions, max_bytes);
}

}  // namespace atelier
