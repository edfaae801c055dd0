// Edits of one workspace exclude each other.
#pragma once

#include <utility>

#include "agent/workspace/workspace.h"

namespace atelier::agent {

// An advisory lock on the folder itself: it goes with the process and leaves no file behind.
class EditLock {
 public:
  // Waits up to five seconds. kIo where another process keeps it.
  static Result<EditLock> take(const Workspace& workspace);
  EditLock(EditLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  EditLock& operator=(EditLock&&) = delete;
  ~EditLock();

 private:
  explicit EditLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace atelier::agent
