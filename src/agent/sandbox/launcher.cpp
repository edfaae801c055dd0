#include "agent/sandbox/launcher.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "agent/sandbox/bubblewrap.h"
#include "agent/sandbox/command_init.h"
#include "agent/sandbox/confine.h"
#include "agent/sandbox/launch_channel.h"
#include "agent/sandbox/mounts.h"
#include "agent/sandbox/os_error.h"
#include "agent/sandbox/placeholder.h"
#include "agent/sandbox/process_tree.h"

namespace atelier::agent {
namespace {

using Told = LaunchReport::Kind;

Status write_file(const char* path, const std::string& text) {
  const Descriptor fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (fd.get() < 0 || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return refused(path);
  return {};
}

// The user is who he was, and nobody else exists.
Status map_user(uid_t user, gid_t group) {
  if (Status denied = write_file("/proc/self/setgroups", "deny"); !denied && errno != ENOENT) return denied;
  ATELIER_CHECK_OK(write_file("/proc/self/uid_map", fmt::format("{} {} 1\n", user, user)));
  return write_file("/proc/self/gid_map", fmt::format("{} {} 1\n", group, group));
}

// Ends with the supervisor, whatever ends that: the namespace's first process takes all others with it.
// `alive` reads as closed once the supervisor is gone, for the case that it went before this was asked for.
Status end_with_parent(int alive) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return refused("parent death signal");
  pollfd gone{.fd = alive, .events = POLLIN, .revents = 0};
  if (::poll(&gone, 1, 0) != 0) return fail(ErrorCode::kInterrupted, "the supervisor is gone");
  return {};
}

Status enter(const LaunchSpec& spec, uid_t user, gid_t group, int alive) {
  ATELIER_CHECK_OK(map_user(user, group));
  ATELIER_CHECK_OK(end_with_parent(alive));
  ATELIER_CHECK_OK(make_mounts(spec));
  if (!spec.network) ATELIER_CHECK_OK(raise_loopback());
  // Its memory and descriptors are not the command's to look at.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("set not dumpable");
  return confine(spec);
}

// One command, from outside of its sandbox.
class Supervisor {
 public:
  Supervisor(LaunchSpec spec, LaunchFds fds) : spec_(std::move(spec)), fds_(std::move(fds)) {}

  int run() {
    if (Status started = start(); !started) {
      report(fd_of(fds_, LaunchFd::kReport), Told::kFailed, 0, started.error().message);
      return 1;
    }
    wait();
    return 0;
  }

 private:
  Status start() {
    auto placeholders = Placeholders::hold(spec_.means == SandboxMeans::kNone ? std::vector<std::string>()
                                                                              : spec_.protected_paths);
    if (!placeholders) return tl::unexpected<Error>(std::move(placeholders).error());
    placeholders_.emplace(std::move(*placeholders));
    std::array<int, 2> alive{};
    if (::pipe2(alive.data(), O_CLOEXEC) != 0) return refused("pipe");
    const Descriptor alive_read(alive[0]);
    alive_ = Descriptor(alive[1]);
    switch (spec_.means) {
      case SandboxMeans::kNamespaces:
        return start_in_namespaces(alive_read.get());
      case SandboxMeans::kBubblewrap:
      case SandboxMeans::kLandlock:
      case SandboxMeans::kNone:
        return start_child();
    }
    return {};
  }

  Status start_in_namespaces(int alive) {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    long flags =
        SIGCHLD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (!spec_.network) flags |= CLONE_NEWNET;
    child_ = static_cast<pid_t>(::syscall(SYS_clone, flags, 0, 0, 0, 0));
    if (child_ < 0) return refused("clone with new namespaces");
    if (child_ == 0) {
      alive_ = Descriptor();
      if (Status entered = enter(spec_, user, group, alive); !entered) {
        report(fd_of(fds_, LaunchFd::kReport), Told::kFailed, 0, entered.error().message);
        ::_exit(1);
      }
      ::_exit(run_command_init(spec_, fds_));
    }
    return {};
  }

  // Without a process namespace of our own making, orphans come to this process, which ends them.
  Status start_child() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return refused("become subreaper");
    tree_ = true;
    child_ = ::fork();
    if (child_ < 0) return refused("fork");
    if (child_ == 0) {
      alive_ = Descriptor();
      Status confined;
      if (spec_.means == SandboxMeans::kBubblewrap) {
        confined = exec_bubblewrap(spec_, fds_);  // comes back only with an error
      } else {
        confined = confine(spec_);
      }
      if (!confined) {
        report(fd_of(fds_, LaunchFd::kReport), Told::kFailed, 0, confined.error().message);
        ::_exit(1);
      }
      ::_exit(run_command_directly(spec_, fds_));
    }
    return {};
  }

  // Until the child ends or the agent lets go.
  void wait() {
    const int report_fd = fd_of(fds_, LaunchFd::kReport);
    for (const LaunchFd mine : {LaunchFd::kSpec, LaunchFd::kInput, LaunchFd::kOutput, LaunchFd::kErrors})
      fds_[static_cast<size_t>(mine)] = Descriptor();  // or the agent would never see the end of the output
    const Descriptor child(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
    std::array<pollfd, 2> events = {{{.fd = child.get(), .events = POLLIN, .revents = 0},
                                     {.fd = fd_of(fds_, LaunchFd::kLife), .events = POLLIN, .revents = 0}}};
    while (::poll(events.data(), events.size(), -1) < 0 && errno == EINTR) {
    }
    if (events[0].revents == 0) ::kill(child_, SIGKILL);
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    if (tree_) {
      end_descendants();
      // bwrap's own status is told by what it started.
      if (spec_.means != SandboxMeans::kBubblewrap) report_end(report_fd, status);
      if (spec_.means == SandboxMeans::kBubblewrap && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        report(report_fd, Told::kFailed, 0, fmt::format("bwrap ended with status {}", WEXITSTATUS(status)));
    } else if (WIFSIGNALED(status)) {
      report(report_fd, Told::kSignalled, WTERMSIG(status));  // ended with its namespace, no word of its own
    }
    placeholders_.reset();
  }

  LaunchSpec spec_;
  LaunchFds fds_;
  std::optional<Placeholders> placeholders_;
  Descriptor alive_;
  pid_t child_ = -1;
  bool tree_ = false;
};

int run_host(int socket) {
  // Nothing typed at a terminal is for us, children are nobody's zombies, and a reader may be gone.
  ::setsid();
  ::signal(SIGCHLD, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  for (;;) {
    LaunchFds fds;
    const auto more = receive_launch(socket, fds);
    if (!more || !*more) return 0;
    const pid_t pid = ::fork();
    if (pid < 0) {
      report(fd_of(fds, LaunchFd::kReport), Told::kFailed, 0,
             "fork: " + std::generic_category().message(errno));
    } else if (pid == 0) {
      ::close(socket);
      ::setsid();
      ::signal(SIGCHLD, SIG_DFL);
      auto spec = read_spec(fd_of(fds, LaunchFd::kSpec));
      if (!spec) ::_exit(1);
      ::_exit(Supervisor(std::move(*spec), std::move(fds)).run());
    }
  }
}

int run_inner(char** argv) {
  LaunchFds fds;
  for (size_t i = 0; i < kLaunchFds; ++i) fds[i] = Descriptor(std::atoi(argv[i + 2]));
  for (const Descriptor& fd : fds) ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  auto spec = read_spec(fd_of(fds, LaunchFd::kSpec));
  if (!spec) return 1;
  if (Status confined = confine(*spec); !confined) {
    report(fd_of(fds, LaunchFd::kReport), Told::kFailed, 0, confined.error().message);
    return 0;
  }
  return run_command_init(*spec, fds);
}

}  // namespace

std::optional<int> run_sandbox_launcher(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[0], kSandboxHostName) == 0) return run_host(std::atoi(argv[1]));
  // bwrap chooses argv[0] itself (older ones than 0.9 know no option for it).
  if (argc == 2 + static_cast<int>(kLaunchFds) && std::strcmp(argv[1], kSandboxInnerName) == 0)
    return run_inner(argv);
  return std::nullopt;
}

}  // namespace atelier::agent
