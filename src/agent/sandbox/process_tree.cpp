#include "agent/sandbox/process_tree.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace atelier::agent {
namespace {

// Parents by process, from /proc/PID/stat: the fourth field, after a name in parentheses that may hold
// anything.
std::unordered_map<pid_t, pid_t> parents() {
  std::unordered_map<pid_t, pid_t> all;
  std::error_code code;
  for (auto at = std::filesystem::directory_iterator("/proc", code);
       !code && at != std::filesystem::directory_iterator(); at.increment(code)) {
    const pid_t pid = std::atoi(at->path().filename().c_str());
    if (pid <= 0) continue;
    std::ifstream file(at->path() / "stat");
    std::string line;
    std::getline(file, line);
    const size_t end = line.rfind(')');
    int parent = 0;
    if (end != std::string::npos && std::sscanf(line.c_str() + end + 1, " %*c %d", &parent) == 1)
      all[pid] = parent;
  }
  return all;
}

bool descends(pid_t pid, pid_t from, const std::unordered_map<pid_t, pid_t>& parents) {
  for (size_t steps = 0; steps <= parents.size(); ++steps) {
    const auto found = parents.find(pid);
    if (found == parents.end()) return false;
    if (found->second == from) return true;
    pid = found->second;
  }
  return false;
}

// Takes note of all that have ended. Orphans come to this process: without children it has no descendants,
// and all processes of the machine need not be looked at, which takes longer than most commands.
bool nobody_left() {
  for (;;) {
    const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
    if (ended < 0 && errno != EINTR) return true;  // ECHILD
    if (ended == 0) return false;
  }
}

}  // namespace

void end_descendants() {
  const pid_t self = ::getpid();
  while (!nobody_left()) {
    // Stopped first, so that none of them starts another while the list is gone through.
    for (const int signal : {SIGSTOP, SIGKILL}) {
      const auto all = parents();
      for (const auto& [pid, parent] : all)
        if (descends(pid, self, all)) ::kill(pid, signal);
    }
    if (nobody_left()) return;
    ::usleep(1000);
  }
}

}  // namespace atelier::agent
