#include "agent/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/descriptor.h"

namespace atelier::agent {
namespace {

// The interface of linux/landlock.h as of ABI 6, which Debian 12's headers do not have yet.
struct RulesetAttributes {
  uint64_t files = 0, network = 0, scoped = 0;
};
struct [[gnu::packed]] PathBeneath {
  uint64_t allowed = 0;
  int32_t folder = -1;
};
constexpr uint32_t kAskVersion = 1;
constexpr int kRulePathBeneath = 1;

constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadFolder = 1 << 3;
constexpr uint64_t kMakeCharacterDevice = 1 << 6, kMakeBlockDevice = 1 << 11;
constexpr uint64_t kTruncate = 1 << 14, kIoctlDevice = 1 << 15;
constexpr uint64_t kAllAbi3 = (1 << 15) - 1;
constexpr uint64_t kOnFiles =
    kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;  // no folder's rights
constexpr uint64_t kScopes = 0x3;                                  // abstract Unix sockets, signals

Status add(int ruleset, const std::string& path, uint64_t allowed) {
  const Descriptor fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (fd.get() < 0) return {};
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return {};
  PathBeneath rule;
  rule.allowed = S_ISDIR(info.st_mode) ? allowed : allowed & kOnFiles;
  rule.folder = fd.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0)
    return fail(ErrorCode::kUnsupported, "landlock: {}: {}", path, std::generic_category().message(errno));
  return {};
}

}  // namespace

int landlock_abi() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  return version < 0 ? 0 : static_cast<int>(version);
}

Status apply_landlock(const LandlockRules& rules) {
  const int abi = landlock_abi();
  RulesetAttributes attributes;
  attributes.files = kAllAbi3 | (abi >= 5 ? kIoctlDevice : 0);
  attributes.scoped = abi >= 6 ? kScopes : 0;
  const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;  // what each kernel knows of the structure
  const Descriptor ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (ruleset.get() < 0)
    return fail(ErrorCode::kUnsupported, "landlock: {}", std::generic_category().message(errno));
  for (const std::string& path : rules.readable)
    ATELIER_CHECK_OK(add(ruleset.get(), path, kExecute | kReadFile | kReadFolder));
  for (const std::string& path : rules.writable)
    ATELIER_CHECK_OK(add(ruleset.get(), path, kAllAbi3 & ~(kMakeCharacterDevice | kMakeBlockDevice)));
  for (const std::string& path : rules.devices)
    ATELIER_CHECK_OK(
        add(ruleset.get(), path,
            attributes.files & (kReadFile | kReadFolder | kWriteFile | kTruncate | kIoctlDevice)));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return fail(ErrorCode::kUnsupported, "landlock: {}", std::generic_category().message(errno));
  return {};
}

}  // namespace atelier::agent
