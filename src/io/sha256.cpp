#include "io/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"

namespace atelier {
namespace {

// Small enough that a cancellation takes effect within milliseconds, large enough that the call costs
// nothing.
constexpr size_t kChunkBytes = size_t{4} << 20;

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

std::string to_hex(std::span<const unsigned char> bytes) {
  std::string hex;
  for (const unsigned char byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

// Reads into `chunk` until it is full or the file ends; the bytes read.
Result<size_t> read_chunk(int fd, const std::filesystem::path& path, std::span<std::byte> chunk) {
  size_t have = 0;
  while (have < chunk.size()) {
    const ssize_t got = ::read(fd, chunk.data() + have, chunk.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected<Error>(errno_error(path, errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  return have;
}

}  // namespace

Result<std::string> sha256_file(const std::filesystem::path& path, const HashObserver& observe) {
  ATELIER_TRY(const OpenedFile file, open_regular(path));
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  bool ok = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;

  std::vector<std::byte> chunk(kChunkBytes);
  uint64_t done_bytes = 0;
  while (ok) {
    ATELIER_TRY(const size_t got, read_chunk(file.fd.get(), path, chunk));
    if (got == 0) break;
    ok = EVP_DigestUpdate(context.get(), chunk.data(), got) == 1;
    done_bytes += got;
    if (observe) ATELIER_CHECK_OK(observe(done_bytes));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_bytes = 0;
  ok = ok && EVP_DigestFinal_ex(context.get(), digest.data(), &digest_bytes) == 1;
  if (!ok) return fail(ErrorCode::kIo, "{}: OpenSSL could not compute the SHA-256", path.string());
  return to_hex(std::span(digest).first(digest_bytes));
}

}  // namespace atelier
