#include "agent/sandbox/command_init.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace atelier::agent {
namespace {

using Told = LaunchReport::Kind;
constexpr int kCannotStart = 127;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (const std::string& string : strings) list.push_back(const_cast<char*>(string.c_str()));
  list.push_back(nullptr);
  return list;
}

[[noreturn]] void exec_command(const LaunchSpec& spec, const LaunchFds& fds) {
  const int report_fd = fd_of(fds, LaunchFd::kReport);
  const auto give_up = [report_fd](const std::string& what) {
    report(report_fd, Told::kFailed, errno, what + ": " + std::generic_category().message(errno));
    ::_exit(kCannotStart);
  };
  ::setsid();  // no terminal to push characters into, and a group to be signalled as one
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  if (::dup2(fd_of(fds, LaunchFd::kInput), 0) < 0 || ::dup2(fd_of(fds, LaunchFd::kOutput), 1) < 0 ||
      ::dup2(fd_of(fds, LaunchFd::kErrors), 2) < 0)
    give_up("dup2");
  if (::chdir(spec.folder.c_str()) != 0) give_up(spec.folder);
  const std::vector<char*> argv = pointers(spec.argv);
  std::vector<char*> environment = pointers(spec.environment);
  environ = environment.data();  // execvp looks the name up in the command's PATH, not in ours
  report(report_fd, Told::kStarted);
  ::execvp(argv[0], argv.data());
  give_up(spec.argv[0]);
  ::_exit(kCannotStart);
}

}  // namespace

void report_end(int fd, int status) {
  if (WIFSIGNALED(status)) {
    report(fd, Told::kSignalled, WTERMSIG(status));
  } else {
    report(fd, Told::kExited, WEXITSTATUS(status));
  }
}

int run_command_init(const LaunchSpec& spec, LaunchFds& fds) {
  const int report_fd = fd_of(fds, LaunchFd::kReport);
  if (spec.argv.empty()) {
    report(report_fd, Told::kExited, 0);
    return 0;
  }
  const pid_t command = ::fork();
  if (command < 0) {
    report(report_fd, Told::kFailed, errno, "fork: " + std::generic_category().message(errno));
    return 0;
  }
  if (command == 0) exec_command(spec, fds);
  for (const LaunchFd mine : {LaunchFd::kInput, LaunchFd::kOutput, LaunchFd::kErrors})
    fds[static_cast<size_t>(mine)] = Descriptor();
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended < 0 && errno == EINTR) continue;
    if (ended != command && ended > 0) continue;
    report_end(report_fd, ended == command ? status : SIGKILL);
    return 0;
  }
}

int run_command_directly(const LaunchSpec& spec, LaunchFds& fds) {
  if (spec.argv.empty()) return 0;
  exec_command(spec, fds);
}

}  // namespace atelier::agent
