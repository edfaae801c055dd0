#include "agent/workspace/edit_lock.h"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace atelier::agent {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);
constexpr auto kPause = std::chrono::milliseconds(20);

}  // namespace

Result<EditLock> EditLock::take(const Workspace& workspace) {
  const auto begin = std::chrono::steady_clock::now();
  while (::flock(workspace.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return tl::unexpected<Error>(workspace.error(".", errno));
    if (std::chrono::steady_clock::now() - begin > kPatience)
      return fail(ErrorCode::kIo, "{}: another process has been editing this folder for {} s",
                  workspace.root().string(), kPatience.count());
    std::this_thread::sleep_for(kPause);
  }
  return EditLock(workspace.fd());
}

EditLock::~EditLock() {
  if (fd_ >= 0) ::flock(fd_, LOCK_UN);
}

}  // namespace atelier::agent
