#include "server/background.h"

#include <utility>

namespace atelier::server {

Background::~Background() {
  for (Running& running : running_) running.thread.join();
}

bool Background::start(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  for (auto it = running_.begin(); it != running_.end();) {
    const auto next = std::next(it);
    if (it->done) {
      it->thread.join();
      running_.erase(it);
    }
    it = next;
  }
  if (running_.size() >= max_running_) return false;
  Running& running = running_.emplace_back();
  running.thread = std::thread([&running, work = std::move(work)] {
    work();
    running.done = true;
  });
  return true;
}

}  // namespace atelier::server
