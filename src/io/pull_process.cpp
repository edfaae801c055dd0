#include "io/pull_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>

namespace atelier {
namespace {

using std::chrono::milliseconds;
constexpr auto kPollInterval = milliseconds(20);
constexpr auto kWaitInterval = milliseconds(100);  // between calls of on_wait
constexpr auto kTerminateGrace = milliseconds(2000);

struct SpawnSetup {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
};

std::vector<std::string> merged_environment(const ChildProcess& child) {
  std::vector<std::string> merged;
  for (const auto& [key, value] : child.environment) merged.push_back(key + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view key = text.substr(0, text.find('='));
    const bool replaced = std::any_of(child.environment.begin(), child.environment.end(),
                                      [key](const auto& added) { return added.first == key; });
    if (!replaced) merged.emplace_back(text);
  }
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& string : strings) list.push_back(string.data());
  list.push_back(nullptr);
  return list;
}

Result<pid_t> spawn(const ChildProcess& child) {
  SpawnSetup setup;
  int error = posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  if (error == 0)
    error = posix_spawn_file_actions_addopen(&setup.actions, 1, child.output.c_str(),
                                             O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&setup.actions, 1, 2);

  // A group of its own: a Ctrl-C reaches us, and we stop the child and its children together.
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGQUIT}) sigaddset(&defaults, signal);
  sigset_t none;
  sigemptyset(&none);
  if (error == 0)
    error = posix_spawnattr_setflags(&setup.attributes,
                                     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (error == 0) error = posix_spawnattr_setpgroup(&setup.attributes, 0);
  if (error == 0) error = posix_spawnattr_setsigdefault(&setup.attributes, &defaults);
  if (error == 0) error = posix_spawnattr_setsigmask(&setup.attributes, &none);

  std::vector<std::string> argv = child.argv;
  std::vector<std::string> environment = merged_environment(child);
  pid_t pid = -1;
  if (error == 0)
    error = posix_spawnp(&pid, argv.front().c_str(), &setup.actions, &setup.attributes, pointers(argv).data(),
                         pointers(environment).data());
  if (error == 0) return pid;
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: {}", child.argv.front(),
              std::generic_category().message(error));
}

// Whether the child has ended; then `status` is what waitpid says.
bool reap(pid_t pid, int& status) {
  pid_t got = 0;
  do got = ::waitpid(pid, &status, WNOHANG);
  while (got < 0 && errno == EINTR);
  return got == pid;
}

// Asks the group to end, and after a grace period ends it.
void stop(pid_t pid) {
  int status = 0;
  ::kill(-pid, SIGTERM);
  for (auto waited = milliseconds(0); waited < kTerminateGrace; waited += kPollInterval) {
    if (reap(pid, status)) {
      ::kill(-pid, SIGKILL);  // those it left behind
      return;
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  ::kill(-pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<int> run_child(const ChildProcess& child) {
  ATELIER_TRY(const pid_t pid, spawn(child));
  int status = 0;
  for (auto since_call = kWaitInterval; !reap(pid, status); since_call += kPollInterval) {
    if (child.on_wait && since_call >= kWaitInterval) {
      since_call = milliseconds(0);
      if (Status wanted = child.on_wait(); !wanted) {
        stop(pid);
        return tl::unexpected<Error>(std::move(wanted).error());
      }
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace atelier
