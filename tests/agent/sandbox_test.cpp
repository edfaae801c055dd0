// The sandbox as its callers see it: what runs, what it says, how it ends, in each tier.
#include "agent/sandbox/sandbox.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "agent/sandbox/landlock.h"
#include "agent/tools/sandbox_runner.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

using std::chrono::milliseconds;

// One of the means, where this machine has it.
class SandboxTest : public ::testing::TestWithParam<SandboxMeans> {
 protected:
  void SetUp() override {
    auto made = Sandbox::open_with(
        {.workspace = work_.path(), .home = home_.path(), .scratch = scratch_.path()}, GetParam());
    if (!made) GTEST_SKIP() << "this machine has not got it: " << made.error().message;
    sandbox_.emplace(std::move(*made));
  }
  struct Ran {
    SandboxEnd end;
    std::string output;
  };
  Ran run(const std::string& line, SandboxRunOptions options = {}, bool read_only = false) {
    Ran ran;
    options.on_output = [&](std::string_view text) { ran.output += text; };
    const auto end =
        sandbox_->run({.argv = {"bash", "-c", line}, .read_only = read_only, .agreed = true}, options);
    EXPECT_TRUE(end) << end.error().message;
    if (end) ran.end = *end;
    return ran;
  }

  ScratchFolder work_, home_, scratch_;
  std::optional<Sandbox> sandbox_;
};

std::string means_name(const ::testing::TestParamInfo<SandboxMeans>& info) {
  constexpr const char* kNames[] = {"Namespaces", "Bubblewrap", "Landlock", "None"};
  return kNames[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Means, SandboxTest,
                         ::testing::Values(SandboxMeans::kNamespaces, SandboxMeans::kBubblewrap,
                                           SandboxMeans::kLandlock, SandboxMeans::kNone),
                         means_name);

TEST_P(SandboxTest, RunsInTheWorkspaceAndSaysHowItEnded) {
  std::filesystem::create_directory(work_ / "sub");
  const Ran ran = run("pwd; echo err >&2; echo x > sub/made; exit 3");
  EXPECT_EQ(ran.output, work_.path().string() + "\nerr\n");
  EXPECT_EQ(ran.end.exit_code(), 3);
  EXPECT_EQ(work_.read("sub/made"), "x\n");
  EXPECT_EQ(run("kill -TERM $$").end.exit_code(), 128 + 15);
}

TEST_P(SandboxTest, HasATemporaryFolderThatCommandsShare) {
  run("echo kept > $TMPDIR/a");
  EXPECT_EQ(run("cat $TMPDIR/a").output, "kept\n");
  EXPECT_EQ(scratch_.read("a"), "kept\n");
}

TEST_P(SandboxTest, ReadOnlyCommandsLeaveTheWorkspaceAlone) {
  if (GetParam() == SandboxMeans::kNone) GTEST_SKIP() << "nothing to keep it from writing";
  std::filesystem::create_directory(work_ / "sub");
  run("echo x > sub/made; echo y > $TMPDIR/b", {}, /*read_only=*/true);
  EXPECT_FALSE(work_.exists("sub/made"));
  EXPECT_TRUE(scratch_.exists("b"));
}

TEST_P(SandboxTest, MissingProgramsAreTheCommandsFailure) {
  const auto end = sandbox_->run({.argv = {"/no/such/program"}, .agreed = true});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kNotFound);
  EXPECT_NE(end.error().message.find("/no/such/program"), std::string::npos);
}

TEST_P(SandboxTest, ATimeoutEndsAllOfIt) {
  const Ran ran = run("(sleep 5; touch late) & sleep 5", {.timeout = milliseconds(100)});
  EXPECT_EQ(ran.end.how, SandboxEnd::How::kTimedOut);
  EXPECT_EQ(run("ps -e -o args | grep -c '[s]leep 5' || true").output.find('2'), std::string::npos);
}

TEST_P(SandboxTest, WhatACommandLeavesRunningEndsWithIt) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(run("setsid sleep 60 & echo done").output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_P(SandboxTest, AFloodOfOutputArrivesWhole) {
  EXPECT_EQ(run("head -c 5000000 /dev/zero").output.size(), 5000000u);
}

TEST_P(SandboxTest, ConversesWithAProgram) {
  auto process = sandbox_->start(
      {.argv = {"bash", "-c", "while read -r l; do echo \"got $l\"; echo log >&2; done; exit 7"},
       .converse = true,
       .agreed = true});
  ASSERT_TRUE(process) << process.error().message;
  std::string output;
  for (const char* word : {"one", "two"}) {
    output.clear();
    ASSERT_TRUE(process->write(std::string(word) + "\n", milliseconds(5000)));
    while (output.find('\n') == std::string::npos) ASSERT_TRUE(*process->read(milliseconds(5000), output));
    EXPECT_EQ(output, std::string("got ") + word + "\n");
  }
  process->close_input();
  while (*process->read(milliseconds(5000), output)) {
  }
  ASSERT_TRUE(process->end());
  EXPECT_EQ(process->end()->exit_code(), 7);
  EXPECT_EQ(process->errors(), "log\nlog\n");
}

TEST_P(SandboxTest, AProgramThatDoesNotListenIsAnError) {
  auto process = sandbox_->start({.argv = {"sleep", "60"}, .converse = true, .agreed = true});
  ASSERT_TRUE(process);
  EXPECT_FALSE(process->write(std::string(1 << 20, 'x'), milliseconds(50)));
  process->stop();
  EXPECT_FALSE(process->write("x", milliseconds(50)));
}

TEST_P(SandboxTest, LeavesNothingInTheWorkspace) {
  work_.write("a", "a");
  const auto before = work_.tree();
  run("true");
  run("true", {}, /*read_only=*/true);
  EXPECT_EQ(work_.tree(), before);
}

TEST(SandboxTiers, RunUnaskedOnlyWhatTheyConfine) {
  const ScratchFolder work, home;
  struct Case {
    SandboxMeans means;
    SandboxMode mode;
    bool unasked;
  };
  for (const Case& c : {Case{SandboxMeans::kNamespaces, SandboxMode::kWorkspace, true},
                        Case{SandboxMeans::kNamespaces, SandboxMode::kReadOnly, true},
                        Case{SandboxMeans::kLandlock, SandboxMode::kWorkspace, false},
                        Case{SandboxMeans::kLandlock, SandboxMode::kReadOnly, true},
                        Case{SandboxMeans::kNone, SandboxMode::kWorkspace, false},
                        Case{SandboxMeans::kNone, SandboxMode::kReadOnly, false},
                        Case{SandboxMeans::kNone, SandboxMode::kFull, true}}) {
    auto sandbox =
        Sandbox::open_with({.mode = c.mode, .workspace = work.path(), .home = home.path()}, c.means);
    if (!sandbox) {
      std::printf("[  NOTICE  ] not on this machine: %s\n", sandbox.error().message.c_str());
      continue;
    }
    EXPECT_EQ(sandbox->runs_unasked(), c.unasked);
    const auto end = sandbox->run({.argv = {"true"}});
    EXPECT_EQ(end.has_value(), c.unasked);
    EXPECT_TRUE(sandbox->run({.argv = {"true"}, .agreed = true}));
    // Read-only commands need no agreement wherever there is a tier.
    EXPECT_EQ(sandbox->run({.argv = {"true"}, .read_only = true}).has_value(),
              c.unasked || c.means == SandboxMeans::kLandlock);
  }
}

TEST(SandboxTiers, TheNetworkIsAgreedTo) {
  const ScratchFolder work, home;
  auto sandbox = Sandbox::open({.workspace = work.path(), .home = home.path()});
  ASSERT_TRUE(sandbox) << sandbox.error().message;
  EXPECT_FALSE(sandbox->run({.argv = {"true"}, .network = true}));
  EXPECT_TRUE(sandbox->run({.argv = {"true"}, .agreed = true, .network = true}));
}

TEST(SandboxPolicies, ThatCannotBeKeptAreRefused) {
  const ScratchFolder home;
  std::filesystem::create_directories(home / "work/sub");
  EXPECT_FALSE(Sandbox::check({.workspace = home.path(), .home = home.path()}));
  EXPECT_FALSE(Sandbox::check({.workspace = home.path().parent_path(), .home = home.path()}));
  EXPECT_FALSE(Sandbox::check({.workspace = "/", .home = home.path()}));
  EXPECT_FALSE(Sandbox::check({.workspace = home / "none", .home = home.path()}));
  EXPECT_FALSE(Sandbox::check({.workspace = home / "work", .home = home.path(), .writable = {home.path()}}));
  EXPECT_TRUE(Sandbox::check({.workspace = home / "work", .home = home.path()}));
  EXPECT_TRUE(
      Sandbox::check({.mode = SandboxMode::kReadOnly, .workspace = home.path(), .home = home.path()}));
  std::filesystem::create_symlink("sub", home / "work/.vscode");
  EXPECT_FALSE(Sandbox::check({.workspace = home / "work", .home = home.path()}));
}

TEST(SandboxEnvironment, IsAListOfWhatIsHarmless) {
  const auto environment = sandbox_environment(
      {"PATH=.:/bin::rel:/usr/bin", "HOME=/h", "AWS_SECRET_ACCESS_KEY=x", "LD_PRELOAD=/x.so", "BASH_ENV=/x",
       "LC_ALL=C", "SSH_AUTH_SOCK=/s", "TOKEN=t", "PAGER=less", "nonsense", "=x"},
      {"TOKEN"});
  const auto has = [&](const char* entry) {
    return std::find(environment.begin(), environment.end(), entry) != environment.end();
  };
  for (const char* entry : {"PATH=/bin:/usr/bin", "HOME=/h", "LC_ALL=C", "TOKEN=t", "PAGER=cat", "TERM=dumb"})
    EXPECT_TRUE(has(entry)) << entry;
  for (const std::string& entry : environment)
    for (const char* name : {"AWS_", "LD_", "BASH_ENV", "SSH_", "PAGER=less", "nonsense", "=x"})
      EXPECT_FALSE(entry.starts_with(name)) << entry;
}

// A runner that nobody has asked anything has started and written nothing.
TEST(SandboxRunner, IsLazy) {
  const ScratchFolder work, state;
  const auto runner = make_sandbox_runner(
      {.policy = {.workspace = work.path(), .home = state / "home", .scratch = state / "session/tmp"}});
  ASSERT_TRUE(runner);
  EXPECT_FALSE(state.exists("session"));
  EXPECT_TRUE((*runner)->asks({.argv = {"true"}}).empty() || !(*runner)->banner().empty());
  EXPECT_TRUE(state.exists("session/tmp"));
}

}  // namespace
}  // namespace atelier::agent
