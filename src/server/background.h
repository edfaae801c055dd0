// Work that outlasts a handler, such as a download: a thread each, a few at a time.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace atelier::server {

class Background {
 public:
  explicit Background(size_t max_running) : max_running_(max_running) {}
  ~Background();  // waits; whoever started something has told it to stop by now
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // False, with nothing started, while max_running are under way.
  bool start(std::function<void()> work);

 private:
  struct Running {
    std::thread thread;
    std::atomic<bool> done{false};
  };
  const size_t max_running_;
  std::mutex mutex_;
  std::list<Running> running_;
};

}  // namespace atelier::server
