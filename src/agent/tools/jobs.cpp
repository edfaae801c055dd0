#include "agent/tools/jobs.h"

#include <algorithm>

namespace atelier::agent {

// What the reading thread and the others share.
struct JobTable::Job {
  explicit Job(std::string text) : what(std::move(text)) {}

  const std::string what;
  std::mutex mutex;
  std::condition_variable changed;
  std::string output;
  size_t dropped = 0;
  bool running = true;
  std::optional<int> exit_code;
  std::string error;
  std::jthread reader;  // last: it ends before the rest goes

  // Reads until the command ends or is to be ended.
  void follow(SandboxProcess process, const std::stop_token& stop) {
    constexpr auto kStep = std::chrono::milliseconds(50);
    std::string chunk;
    for (bool more = true; more && !stop.stop_requested();) {
      chunk.clear();
      more = process.read(kStep, chunk).value_or(false);
      if (!chunk.empty()) keep(chunk);
    }
    process.stop();
    const Result<SandboxEnd> end = process.end();
    const std::lock_guard lock(mutex);
    running = false;
    if (end) exit_code = end->exit_code();
    if (!end && !stop.stop_requested()) error = end.error().message;
    changed.notify_all();
  }

  void keep(std::string_view chunk) {
    const std::lock_guard lock(mutex);
    output += chunk;
    if (output.size() > kMaxKept) {
      dropped += output.size() - kMaxKept;
      output.erase(0, output.size() - kMaxKept);
    }
    changed.notify_all();
  }
};

Result<size_t> JobTable::start(CommandRunner& runner, const Command& command, std::string what) {
  const std::lock_guard lock(mutex_);
  const auto n_running = std::ranges::count_if(jobs_, [](const auto& job) {
    const std::lock_guard own(job->mutex);
    return job->running;
  });
  if (static_cast<size_t>(n_running) >= kMaxRunning)
    return fail(ErrorCode::kLimit, "expected at most {} background jobs at a time", kMaxRunning);
  ATELIER_TRY(SandboxProcess process, runner.start(command));
  auto job = std::make_shared<Job>(std::move(what));
  job->reader =
      std::jthread([raw = job.get(), process = std::move(process)](const std::stop_token& stop) mutable {
        raw->follow(std::move(process), stop);
      });
  jobs_.push_back(std::move(job));
  return jobs_.size();
}

Result<JobTable::View> JobTable::look(size_t number, std::chrono::milliseconds patience, bool stop,
                                      const std::atomic<bool>* cancel) {
  std::shared_ptr<Job> job;
  {
    const std::lock_guard lock(mutex_);
    if (number == 0 || number > jobs_.size())
      return fail(ErrorCode::kNotFound, "expected a job from 1 to {}, found {}", jobs_.size(), number);
    job = jobs_[number - 1];
  }
  if (stop) job->reader.request_stop();
  std::unique_lock lock(job->mutex);
  const auto deadline = std::chrono::steady_clock::now() + (stop ? std::chrono::seconds(30) : patience);
  const auto is_over = [&] { return !job->running || (!stop && !job->output.empty()); };
  constexpr auto kStep = std::chrono::milliseconds(20);
  while (!is_over() && std::chrono::steady_clock::now() < deadline && !(cancel != nullptr && cancel->load()))
    job->changed.wait_for(lock, kStep);
  View view{.what = job->what,
            .output = std::move(job->output),
            .dropped_bytes = std::exchange(job->dropped, 0),
            .running = job->running,
            .exit_code = job->exit_code,
            .error = job->error};
  job->output.clear();
  return view;
}

std::string JobTable::list() {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const std::lock_guard own(jobs_[i]->mutex);
    text += fmt::format("{}: {} ({})\n", i + 1, jobs_[i]->what,
                        jobs_[i]->running     ? "running"
                        : jobs_[i]->exit_code ? fmt::format("exit code {}", *jobs_[i]->exit_code)
                                              : "ended");
  }
  return text;
}

void JobTable::stop_all() {
  std::vector<std::shared_ptr<Job>> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs = jobs_;
  }
  for (const auto& job : jobs) job->reader.request_stop();
  for (const auto& job : jobs)
    if (job->reader.joinable()) job->reader.join();
}

}  // namespace atelier::agent
