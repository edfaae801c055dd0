#include "io/hub/remote_file.h"

#include "base/file.h"
#include "io/hub/url.h"

namespace atelier {

std::string RemoteFile::key() const {
  if (!sha256.empty()) return sha256;
  if (!git_sha1.empty()) return git_sha1;
  // Without its query: signatures in it change with every answer.
  return hex(atelier::sha256(fmt::format("{}\n{}\n{}", url.substr(0, url.find('?')), etag, bytes)));
}

Result<std::string> verify_file(const std::filesystem::path& path, const RemoteFile& expected,
                                const HashObserver& observe) {
  ATELIER_TRY(const FileDigests found, file_digests(path, {.git_sha1 = !expected.git_sha1.empty()}, observe));
  const auto differs = [&](std::string_view what, const std::string& wanted, const std::string& got) {
    return fail(ErrorCode::kCorrupt, "{}: expected {} {} ({}), found {}", expected.name, what, wanted,
                url_host(expected.url), got);
  };
  if (found.bytes != expected.bytes)
    return fail(ErrorCode::kCorrupt, "{}: expected {} bytes, found {}", expected.name, expected.bytes,
                found.bytes);
  if (!expected.sha256.empty() && found.sha256 != expected.sha256)
    return differs("SHA-256", expected.sha256, found.sha256);
  if (!expected.git_sha1.empty() && found.git_sha1 != expected.git_sha1)
    return differs("git SHA-1", expected.git_sha1, found.git_sha1);
  return found.sha256;
}

}  // namespace atelier
