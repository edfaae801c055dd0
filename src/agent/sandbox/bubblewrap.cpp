#include "agent/sandbox/bubblewrap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "agent/sandbox/launcher.h"
#include "agent/sandbox/mounts.h"
#include "agent/sandbox/os_error.h"

namespace atelier::agent {
namespace {

using Shown = MountStep::Kind;

// The program itself must be visible inside, wherever it lies.
std::string own_program() {
  std::error_code code;
  return std::filesystem::read_symlink("/proc/self/exe", code).string();
}

void add_step(const MountStep& step, std::vector<std::string>& arguments) {
  const auto add = [&](std::initializer_list<std::string> more) { arguments.insert(arguments.end(), more); };
  const std::string& source = step.source.empty() ? step.path : step.source;
  struct stat info{};
  const bool exists = ::stat(source.c_str(), &info) == 0;
  switch (step.kind) {
    case Shown::kProcesses:
      return add({"--proc", step.path});
    case Shown::kDevices:
      return add({"--dev", step.path});
    case Shown::kTemporary:
      return add({"--perms", "1777", "--tmpfs", step.path});
    case Shown::kEmpty:
      if (exists && S_ISDIR(info.st_mode))
        return add({"--perms", "0755", "--tmpfs", step.path, "--remount-ro", step.path});
      return exists ? add({"--ro-bind", "/dev/null", step.path}) : void();
    case Shown::kReadOnly:
      return exists ? add({"--ro-bind", source, step.path}) : void();
    case Shown::kWritable:
      return exists ? add({"--bind", source, step.path}) : void();
  }
}

}  // namespace

std::vector<std::string> bubblewrap_arguments(const LaunchSpec& spec) {
  std::vector<std::string> arguments = {kBubblewrapPath,
                                        "--unshare-user",
                                        "--unshare-pid",
                                        "--unshare-ipc",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--cap-drop",
                                        "ALL",
                                        "--ro-bind",
                                        "/",
                                        "/"};
  if (!spec.network) arguments.emplace_back("--unshare-net");
  // Empty places are closed once everything that lies in them is placed.
  std::vector<std::string> close;
  for (const MountStep& step : plan_mounts(spec)) {
    add_step(step, arguments);
    if (arguments.size() > 2 && arguments[arguments.size() - 2] == "--remount-ro") {
      close.push_back(arguments.back());
      arguments.resize(arguments.size() - 2);
    }
  }
  const std::string program = own_program();
  arguments.insert(arguments.end(), {"--ro-bind", program, program});
  for (const std::string& path : close) arguments.insert(arguments.end(), {"--remount-ro", path});
  return arguments;
}

Status exec_bubblewrap(const LaunchSpec& spec, const LaunchFds& fds) {
  std::vector<std::string> arguments = bubblewrap_arguments(spec);
  arguments.insert(arguments.end(), {"--", own_program(), kSandboxInnerName});
  for (const Descriptor& fd : fds) {
    ::fcntl(fd.get(), F_SETFD, 0);
    arguments.push_back(std::to_string(fd.get()));
  }
  // What bwrap has to say goes where the command's errors go.
  ::dup2(fd_of(fds, LaunchFd::kErrors), 2);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(kBubblewrapPath, argv.data());
  return refused(kBubblewrapPath);
}

}  // namespace atelier::agent
