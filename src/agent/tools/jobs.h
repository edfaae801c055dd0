// Commands that run in the background while the model goes on.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/tools/command_runner.h"

namespace atelier::agent {

class JobTable {
 public:
  static constexpr size_t kMaxRunning = 16;
  static constexpr size_t kMaxKept = size_t{1} << 20;  // bytes of output of each job nobody has read yet

  JobTable() = default;
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;
  ~JobTable() { stop_all(); }

  // Starts `command`, shown as `what`. The job's number, from 1. kLimit where too many run already.
  Result<size_t> start(CommandRunner& runner, const Command& command, std::string what);

  struct View {
    std::string what{};
    std::string output{};      // since it was looked at last
    size_t dropped_bytes = 0;  // of it, before what is shown
    bool running = false;
    std::optional<int> exit_code{};
    std::string error{};  // where it could not be started
  };
  // Waits up to `patience` for output or the end; ends it first if `stop`. kNotFound for a number never
  // given.
  Result<View> look(size_t number, std::chrono::milliseconds patience, bool stop,
                    const std::atomic<bool>* cancel = nullptr);
  // "1: make test (running)", a line each; empty where there never was one.
  std::string list();
  void stop_all();

 private:
  struct Job;
  std::mutex mutex_;  // guards the list; each job guards itself
  std::vector<std::shared_ptr<Job>> jobs_;
};

}  // namespace atelier::agent
