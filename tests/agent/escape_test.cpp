// Runs the escape corpus: 160 attempts, in tier A all of them blocked, in tier B all but what its banner
// says.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "agent/sandbox/landlock.h"
#include "tests/agent/escape_world.h"

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace atelier::agent {
namespace {

using Categories = std::vector<Category>;

Categories corpus() {
  return {write_attempts(),   protected_attempts(), secret_attempts(),     network_attempts(),
          process_attempts(), privilege_attempts(), environment_attempts()};
}

// Environment variables for as long as this stands.
class Variables {
 public:
  Variables(const World& world, const Attempt& attempt) {
    for (const auto& [name, value] : attempt.details.environment) {
      const char* old = std::getenv(name.c_str());
      old_.emplace_back(name, old == nullptr ? std::optional<std::string>() : old);
      ::setenv(name.c_str(), world.expanded(value).c_str(), 1);
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;
  ~Variables() {
    for (const auto& [name, value] : old_)
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> old_;
};

// The positive control: a shell of this program, in the workspace, with all that a child process gets.
void run_outside(const World& world, const std::string& line) {
  const std::string there = "cd '" + world.work().string() + "' || exit; " + line;
  const char* argv[] = {"bash", "-c", there.c_str(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/bin/bash", &files, nullptr, const_cast<char* const*>(argv), environ);
  posix_spawn_file_actions_destroy(&files);
  ASSERT_EQ(error, 0);
  ::waitpid(pid, nullptr, 0);
}

// What a machine may have, and what each has to block.
struct Wall {
  SandboxMeans means;
  const char* name;
  bool leaks;  // what is marked open_in_b gets through
};
constexpr Wall kWalls[] = {{SandboxMeans::kNamespaces, "tier A, own namespaces", false},
                           {SandboxMeans::kBubblewrap, "tier A, bwrap", false},
                           {SandboxMeans::kLandlock, "tier B", true}};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

class Escape : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a matter of the kernel's; attempts start too many sanitized programs";
  }
  // Whether the witness saw it happen.
  template <class Run>
  bool works(const Attempt& attempt, Run&& run) {
    world_.reset();
    const Variables variables(world_, attempt);
    std::jthread meanwhile;
    if (attempt.details.meanwhile)
      meanwhile = std::jthread([&](const std::stop_token& stop) { attempt.details.meanwhile(world_, stop); });
    run(world_.expanded(attempt.line));
    if (meanwhile.joinable()) {
      meanwhile.request_stop();
      meanwhile.join();
    }
    return attempt.worked(world_);
  }
  bool works_outside(const Attempt& attempt) {
    return works(attempt, [&](const std::string& line) { run_outside(world_, line); });
  }
  bool works_in(const Attempt& attempt, SandboxMeans means) {
    return works(attempt, [&](const std::string& line) {
      Sandbox* sandbox = sandbox_for(attempt, means);
      ASSERT_NE(sandbox, nullptr);
      const auto end =
          sandbox->run({.argv = {"bash", "-c", line}, .agreed = true}, {.timeout = std::chrono::seconds(60)});
      ASSERT_TRUE(end) << attempt.name << ": " << end.error().message;
    });
  }
  // One for each means and mode; an attempt with an environment gets its own.
  Sandbox* sandbox_for(const Attempt& attempt, SandboxMeans means) {
    const SandboxMode mode = attempt.details.environment.empty() ? attempt.details.mode : SandboxMode::kFull;
    std::optional<Sandbox>& kept = sandboxes_[{means, mode}];
    if (!kept || mode == SandboxMode::kFull) {
      auto sandbox = Sandbox::open_with(world_.policy(attempt.details.mode), means);
      EXPECT_TRUE(sandbox) << sandbox.error().message;
      if (!sandbox) return nullptr;
      kept.reset();
      kept.emplace(std::move(*sandbox));
    }
    return &*kept;
  }
  // Loud where the machine has not got it: a skip that nobody sees would pass for a proof.
  bool stands(const Wall& wall) {
    const auto sandbox = Sandbox::open_with(world_.policy(SandboxMode::kWorkspace), wall.means);
    std::string missing = sandbox ? "" : sandbox.error().message;
    if (sandbox && wall.leaks && landlock_abi() < 6)
      missing = "Landlock before ABI 6 cannot keep signals and abstract sockets inside";
    if (!missing.empty()) std::printf("\n*** NOT PROVED HERE: %s: %s ***\n\n", wall.name, missing.c_str());
    return missing.empty();
  }

  World world_;
  std::map<std::pair<SandboxMeans, SandboxMode>, std::optional<Sandbox>> sandboxes_;
};

TEST(EscapeCorpus, HasAllItsAttempts) {
  size_t all = 0;
  for (const Category& category : corpus()) {
    EXPECT_EQ(category.attempts.size(), category.expected) << category.name;
    all += category.attempts.size();
  }
  EXPECT_EQ(all, 160u);
}

TEST_P(Escape, IsBlocked) {
  const Category category = corpus()[GetParam()];
  std::vector<Wall> walls;
  for (const Wall& wall : kWalls)
    if (stands(wall)) walls.push_back(wall);
  std::map<std::string, size_t> blocked;
  size_t unproved = 0;
  for (const Attempt& attempt : category.attempts) {
    if (!works_outside(attempt)) {
      ++unproved;
      std::printf("[UNPROVED  ] %s: not possible on this machine even outside\n", attempt.name);
      EXPECT_TRUE(attempt.details.may_lack) << attempt.name << ": the control failed, so nothing is proved";
    }
    for (const Wall& wall : walls) {
      if (!works_in(attempt, wall.means)) {
        ++blocked[wall.name];
      } else if (wall.leaks && attempt.details.open_in_b) {
        std::printf("[ OPEN     ] %s: %s\n", wall.name, attempt.name);
      } else {
        ADD_FAILURE() << wall.name << ": ESCAPED: " << attempt.name << ": " << attempt.line;
      }
    }
  }
  for (const Wall& wall : walls) {
    std::printf("[          ] %s: %s: %zu attempts, %zu blocked, %zu without a control\n", category.name,
                wall.name, category.attempts.size(), blocked[wall.name], unproved);
    if (!wall.leaks) {
      EXPECT_EQ(blocked[wall.name], category.expected);
    }
  }
}

std::string category_name(const ::testing::TestParamInfo<size_t>& info) {
  std::string name = corpus()[info.param].name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Of, Escape, ::testing::Range(size_t{0}, size_t{7}), category_name);

}  // namespace
}  // namespace atelier::agent
