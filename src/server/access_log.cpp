#include "server/access_log.h"

#include <fmt/format.h>

#include <utility>

namespace atelier::server {

AccessLog::AccessLog(Sink sink) : sink_(std::move(sink)) {
  if (sink_) thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void AccessLog::write(std::string line) {
  if (!enabled()) return;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting) {
      ++dropped_;
      return;
    }
    waiting_.push_back(std::move(line));
  }
  news_.notify_one();
}

void AccessLog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::deque<std::string> lines = std::exchange(waiting_, {});
    const uint64_t dropped = std::exchange(dropped_, 0);
    lock.unlock();
    for (const std::string& line : lines) sink_(line + "\n");
    if (dropped > 0) sink_(fmt::format("{{\"dropped_log_lines\":{}}}\n", dropped));
    lock.lock();
  }
}

}  // namespace atelier::server
