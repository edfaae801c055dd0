// One line of JSON per request, written by a thread of its own: a log nobody reads must not hold up answers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace atelier::server {

class AccessLog {
 public:
  using Sink = std::function<void(std::string_view line)>;  // the line ends in a newline

  // `sink` empty: nothing is kept.
  explicit AccessLog(Sink sink);
  ~AccessLog();  // writes what is left
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  bool enabled() const { return static_cast<bool>(sink_); }
  // Never waits: past kMaxWaiting lines the line is dropped, and the next one written says how many were.
  void write(std::string line);

  static constexpr size_t kMaxWaiting = 10000;

 private:
  void run();

  Sink sink_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<std::string> waiting_;
  uint64_t dropped_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace atelier::server
