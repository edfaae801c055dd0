// What a command costs to start and to end in each sandbox, beside the same command without one.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "agent/sandbox/launcher.h"
#include "agent/sandbox/sandbox.h"

namespace {

using namespace atelier;
using namespace atelier::agent;
using Clock = std::chrono::steady_clock;

constexpr int kRuns = 200;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Median and 95th percentile of kRuns calls, after a few to warm up.
void print_times(const char* name, const std::function<bool()>& call, double& median) {
  std::vector<double> times;
  for (int i = -5; i < kRuns; ++i) {
    const Clock::time_point begin = Clock::now();
    if (!call()) {
      std::printf("%-28s not available\n", name);
      return;
    }
    if (i >= 0) times.push_back(ms_since(begin));
  }
  std::sort(times.begin(), times.end());
  median = times[times.size() / 2];
  std::printf("%-28s median %6.2f ms   p95 %6.2f ms\n", name, median, times[times.size() * 95 / 100]);
}

bool spawn_plainly() {
  const char* argv[] = {"/bin/true", nullptr};
  pid_t pid = -1;
  int status = -1;
  return posix_spawn(&pid, argv[0], nullptr, nullptr, const_cast<char* const*>(argv), environ) == 0 &&
         ::waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto status = run_sandbox_launcher(argc, argv)) return *status;
  std::string folder = (std::filesystem::temp_directory_path() / "atelier-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  double plain = 0;
  print_times("/bin/true, spawned", spawn_plainly, plain);
  for (const auto& [name, means] : {std::pair{"no confinement", SandboxMeans::kNone},
                                    {"Landlock, seccomp (tier B)", SandboxMeans::kLandlock},
                                    {"bwrap (tier A)", SandboxMeans::kBubblewrap},
                                    {"own namespaces (tier A)", SandboxMeans::kNamespaces}}) {
    const Clock::time_point begin = Clock::now();
    auto sandbox = Sandbox::open_with({.workspace = folder}, means);
    const double opened = ms_since(begin);
    double median = 0;
    print_times(
        name,
        [&] {
          return sandbox && sandbox->run({.argv = {"/bin/true"}, .agreed = true})
                                .map([](auto end) { return end.exit_code() == 0; })
                                .value_or(false);
        },
        median);
    if (sandbox)
      std::printf("%-28s overhead %.2f ms a command; opened in %.1f ms\n", "", median - plain, opened);
  }
  std::filesystem::remove_all(folder);
  return 0;
}
