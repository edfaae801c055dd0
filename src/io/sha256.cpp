#include "io/sha256.h"

#include <openssl/evp.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
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

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new()) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1;
  }
  void add(std::span<const std::byte> bytes) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
  }
  // Empty where OpenSSL failed.
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int bytes = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &bytes) == 1;
    return ok_ ? to_hex(std::span(digest).first(bytes)) : std::string();
  }

 private:
  std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
  bool ok_ = false;
};

}  // namespace

Result<FileDigests> file_digests(const std::filesystem::path& path, DigestChoice choice,
                                 const HashObserver& observe) {
  ATELIER_TRY(const OpenedFile file, open_regular(path));
  Digest sha256(EVP_sha256());
  std::optional<Digest> git_sha1;
  if (choice.git_sha1) {
    git_sha1.emplace(EVP_sha1());
    // The zero byte that ends the string is part of what git hashes.
    const std::string prefix = fmt::format("blob {}", file.size);
    git_sha1->add(std::as_bytes(std::span(prefix.c_str(), prefix.size() + 1)));
  }
  FileDigests digests;
  std::vector<std::byte> chunk(kChunkBytes);
  for (;;) {
    ATELIER_TRY(const size_t got, read_chunk(file.fd.get(), path, chunk));
    if (got == 0) break;
    const auto bytes = std::span<const std::byte>(chunk).first(got);
    sha256.add(bytes);
    if (git_sha1) git_sha1->add(bytes);
    digests.bytes += got;
    if (observe) ATELIER_CHECK_OK(observe(digests.bytes));
  }
  digests.sha256 = sha256.hex();
  if (git_sha1) digests.git_sha1 = git_sha1->hex();
  if (digests.sha256.empty() || (git_sha1 && digests.git_sha1.empty()))
    return fail(ErrorCode::kIo, "{}: OpenSSL could not compute the digest", path.string());
  return digests;
}

Result<std::string> sha256_file(const std::filesystem::path& path, const HashObserver& observe) {
  ATELIER_TRY(FileDigests digests, file_digests(path, {}, observe));
  return std::move(digests.sha256);
}

Sha256 sha256(std::string_view bytes) {
  Sha256 digest;
  ATELIER_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string hex(const Sha256& digest) { return to_hex(digest); }

}  // namespace atelier
