// The tools as a model calls them, in a workspace and a sandbox.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "agent/tools/programs.h"
#include "agent/tools/ripgrep.h"
#include "agent/tools/sandbox_runner.h"
#include "agent/tools/toolbox.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

bool mentions(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class ToolsTest : public ::testing::Test {
 protected:
  ToolsTest() : outputs_(home_ / "output") {}
  void SetUp() override { open({}); }
  void open(std::optional<SandboxMeans> means) {
    auto workspace = Workspace::open(work_.path());
    ASSERT_TRUE(workspace);
    workspace_ = std::make_unique<Workspace>(std::move(*workspace));
    toolbox_.reset();
    auto runner = make_sandbox_runner(
        {.policy = {.workspace = work_.path(), .home = home_.path(), .scratch = home_ / "tmp"},
         .means = means});
    ASSERT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
    host_ = {.workspace = workspace_.get(),
             .runner = runner_.get(),
             .outputs = &outputs_,
             .jobs = &jobs_,
             .journal_folder = home_ / "edits"};
    toolbox_ = std::make_unique<Toolbox>(host_, ToolNames::kFunctions);
  }
  ToolResult call(const std::string& tool, const Json& arguments, bool agree = true) {
    ToolRun run{.cancel = &cancel_,
                .on_output = [this](std::string_view text) { shown_ += text; },
                .approve =
                    [this, agree](const ApprovalRequest& request) {
                      asked_.push_back(request);
                      return agree;
                    },
                .note = [this](std::string_view text) { notes_.emplace_back(text); }};
    Tool* found = toolbox_->find(tool);
    EXPECT_NE(found, nullptr) << tool;
    return found->run(arguments, run);
  }

  ScratchFolder work_, home_;
  std::atomic<bool> cancel_{false};
  OutputStore outputs_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<CommandRunner> runner_;
  JobTable jobs_;
  ToolHost host_;
  std::unique_ptr<Toolbox> toolbox_;
  std::vector<ApprovalRequest> asked_;
  std::vector<std::string> notes_;
  std::string shown_;
};

TEST_F(ToolsTest, EveryAliasLeadsToItsTool) {
  const std::map<std::string, std::string> aliases = {{"container.exec", "shell"},
                                                      {"exec", "shell"},
                                                      {"bash", "shell"},
                                                      {"functions.shell", "shell"},
                                                      {"repo_browser.print_tree", "print_tree"},
                                                      {"repo_browser.list_dir", "print_tree"},
                                                      {"list_files", "print_tree"},
                                                      {"repo_browser.search", "search"},
                                                      {"repo_browser.find", "search"},
                                                      {"find", "search"},
                                                      {"grep", "search"},
                                                      {"repo_browser.open_file", "open_file"},
                                                      {"repo_browser.read_file", "open_file"},
                                                      {"read_file", "open_file"},
                                                      {"repo_browser.apply_patch", "apply_patch"},
                                                      {"todo", "update_plan"}};
  for (const auto& [alias, name] : aliases) {
    const Tool* tool = toolbox_->find(alias);
    ASSERT_NE(tool, nullptr) << alias;
    EXPECT_EQ(tool->spec().name, name) << alias;
  }
  EXPECT_EQ(toolbox_->find("rm_rf"), nullptr);
}

TEST_F(ToolsTest, OpenFileTakesRangesByEitherName) {
  work_.write("a.txt", "one\ntwo\nthree\nfour\n");
  const std::string range = "    2\ttwo\n    3\tthree\n[4 lines in all]\n";
  EXPECT_EQ(call("open_file", {{"path", "a.txt"}, {"line_start", 2}, {"line_end", 3}}).text, range);
  EXPECT_EQ(call("open_file", {{"file_path", "a.txt"}, {"start_line", 2}, {"end_line", "3"}}).text, range);
  EXPECT_EQ(call("open_file", {{"path", "a.txt"}, {"line_start", 9}}).status, ToolStatus::kFailed);
}

TEST_F(ToolsTest, CommandsStreamTimeOutAndAreInterrupted) {
  if (!runner_->asks({.argv = {"true"}}).empty()) GTEST_SKIP() << "NOT PROVED HERE: " << runner_->banner();
  EXPECT_EQ(call("shell", {{"command", "echo a; echo b >&2"}}).text, "a\nb\n");
  EXPECT_EQ(shown_, "a\nb\n");
  const ToolResult late = call("shell", {{"command", "echo begun; sleep 60"}, {"timeout", 1}});
  EXPECT_TRUE(mentions(late.text, "begun\n[ended after the timeout of 1 s]")) << late.text;
  EXPECT_EQ(late.exit_code, 124);
  std::jthread interrupt([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel_ = true;
  });
  EXPECT_TRUE(mentions(call("shell", {{"command", "sleep 60"}}).text, "interrupted"));
}

TEST_F(ToolsTest, BackgroundJobsGoOnAreReadAndStopped) {
  if (!runner_->asks({.argv = {"true"}}).empty()) GTEST_SKIP() << "NOT PROVED HERE: " << runner_->banner();
  const ToolResult begun =
      call("shell",
           {{"command", "mkfifo go; echo one; read -r x < go; echo two; sleep 60"}, {"background", true}});
  EXPECT_TRUE(mentions(begun.text, "[job 1]\none\n[running]")) << begun.text;
  EXPECT_TRUE(mentions(call("job", {{"action", "list"}}).text, "1: "));
  // What it waits for comes from another command while it runs.
  EXPECT_EQ(call("shell", {{"command", "echo now > go"}}).status, ToolStatus::kCompleted);
  std::string text;
  for (int i = 0; i < 10 && !mentions(text, "two") && !mentions(text, "exit"); ++i)
    text += call("job", {{"action", "read"}, {"id", 1}, {"wait", 5}}).text;
  const ToolResult ended = call("job", {{"action", "stop"}, {"id", 1}});
  EXPECT_FALSE(mentions(ended.text, "[running]")) << ended.text;
  EXPECT_EQ(call("job", {{"action", "read"}, {"id", 7}}).status, ToolStatus::kFailed);
  const ToolResult fails = call("shell", {{"command", "echo bad; exit 4"}, {"background", true}});
  EXPECT_TRUE(mentions(fails.text, "bad")) << fails.text;
  EXPECT_TRUE(mentions(fails.text + call("job", {{"action", "read"}, {"id", 2}, {"wait", 20}}).text,
                       "[exit code 4]"));
}

TEST_F(ToolsTest, PythonRemembers) {
  if (toolbox_->find("python") == nullptr) GTEST_SKIP() << "NOT PROVED HERE: python3 is not installed";
  if (!runner_->asks({.argv = {"true"}}).empty()) GTEST_SKIP() << "NOT PROVED HERE: " << runner_->banner();
  work_.write("json.py", "raise SystemExit('a file of the workspace was imported')\n");
  work_.write("mine.py", "VALUE = 42\n");
  EXPECT_EQ(call("python", {{"code", "x = 20\nprint('set')"}}).text, "set\n");
  EXPECT_EQ(call("python", {{"code", "x + 1"}}).text, "21\n");
  EXPECT_EQ(call("python", {{"code", "import mine; mine.VALUE"}}).text, "42\n");
  EXPECT_EQ(call("python", {{"code", "y = 1"}}).text, "[no output]");
  const ToolResult wrong = call("python", {{"code", "def f():\n  return 1/0\nf()"}});
  EXPECT_EQ(wrong.status, ToolStatus::kFailed);
  EXPECT_TRUE(mentions(wrong.text, "ZeroDivisionError"));
  EXPECT_FALSE(mentions(wrong.text, "<string>")) << wrong.text;
  EXPECT_TRUE(mentions(call("python", {{"code", "print('a'*100000)"}}).text, std::string(100000, 'a')));
  const ToolResult late =
      call("python", {{"code", "import time\nprint('begun', flush=True)\ntime.sleep(60)"}, {"timeout", 1}});
  EXPECT_TRUE(mentions(late.text, "begun")) << late.text;
  EXPECT_TRUE(mentions(late.text, "its variables are gone"));
  EXPECT_TRUE(mentions(call("python", {{"code", "x"}}).text, "NameError"));
  const ToolResult gone = call("python", {{"code", "import os; os._exit(3)"}});
  EXPECT_TRUE(mentions(gone.text, "Python has ended"));
  EXPECT_EQ(call("python", {{"code", "1 + 1"}}).text, "2\n");
}

TEST_F(ToolsTest, PythonTakesItsBodyAsItIs) {
  Tool* python = toolbox_->find("python");
  if (python == nullptr) GTEST_SKIP() << "NOT PROVED HERE: python3 is not installed";
  for (const char* body : {"print(1)", "{\"a\": 1}", "[1, 2]", "\"text\"", "3"})
    EXPECT_EQ((*parse_arguments(*python, body))["code"], body);
  EXPECT_EQ((*parse_arguments(*python, R"({"code": "x"})"))["code"], "x");
}

TEST_F(ToolsTest, SearchesAlikeWithAndWithoutRipgrep) {
  work_.write("a.txt", "needle one\nnothing\nneedle two\n");
  work_.write("sub/.hidden", "needle three\n");
  work_.write("build/x.txt", "needle ignored\n");
  work_.write(".gitignore", "build/\n");
  work_.write(".git/config", "needle\n");
  work_.write(".ignore", "*\n");
  work_.write("binary", std::string("needle\0", 7));
  std::filesystem::create_symlink("/etc", work_ / "outside");
  const std::string expected = "a.txt:1:needle one\na.txt:3:needle two\nsub/.hidden:1:needle three\n";
  EXPECT_EQ(call("search", {{"query", "needl."}}).text, expected);
  EXPECT_EQ(call("search", {{"query", "needle"}, {"path", "sub"}}).text, "sub/.hidden:1:needle three\n");
  EXPECT_TRUE(
      mentions(call("search", {{"query", "needle"}, {"max_results", 1}}).text, "[only the first 1 matches]"));
  EXPECT_EQ(call("search", {{"query", "absent"}}).text, "No matches.");
  EXPECT_EQ(call("search", {{"query", "needle ("}}).text, "No matches.");  // no expression: plain text
  if (!has_program("rg"))
    std::printf("[  NOTICE  ] ripgrep is not installed: only our own search was tested\n");
  const std::string path = std::getenv("PATH");
  const auto matches = ripgrep(*runner_, {.pattern = "needl."});
  if (has_program("rg") && runner_->asks({.argv = {"rg"}}).empty()) {
    ASSERT_TRUE(matches);
    EXPECT_EQ(matches->size(), 3u);
  }
}

// Our own search: where nothing confines commands, ripgrep is not started unasked.
TEST_F(ToolsTest, SearchEndsWhateverTheExpression) {
  open(SandboxMeans::kNone);
  const std::string line(60'000, 'a');
  work_.write("a.txt", line + "b\nthe text (a+)+$ stands here\n");
  const std::string found = call("search", {{"query", "(a+)+$"}}).text;
  EXPECT_TRUE(mentions(found, "a.txt:2:the text (a+)+$"));
  EXPECT_TRUE(mentions(found, "takes too long"));
  // One level of recursion for each character would not fit on any stack.
  EXPECT_TRUE(mentions(call("search", {{"query", "^(a|x)*b$"}}).text, "a.txt:1:aaa"));
  const std::string words = call("search", {{"query", "\\btext\\s+\\("}}).text;
  EXPECT_TRUE(mentions(words, "a.txt:2:")) << words.substr(0, 300);
}

// Where what is written cannot be confined, a command runs without writing first.
TEST_F(ToolsTest, TierBAsksOnlyForWhatNeedsMore) {
  open(SandboxMeans::kLandlock);
  if (const auto refused = runner_->run({.argv = {"true"}, .trial = true}); !refused)
    GTEST_SKIP() << "NOT PROVED HERE: " << refused.error().message;
  std::filesystem::create_directory(work_ / "sub");
  EXPECT_EQ(call("shell", {{"command", "echo fine"}}).text, "fine\n");
  EXPECT_TRUE(asked_.empty());
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_TRUE(mentions(notes_[0], "tier B")) << notes_[0];
  const ToolResult refused = call("shell", {{"command", "echo x > sub/a"}}, /*agree=*/false);
  EXPECT_EQ(refused.status, ToolStatus::kFailed);
  EXPECT_TRUE(mentions(refused.text, "without permission to write")) << refused.text;
  EXPECT_EQ(asked_.size(), 1u);
  EXPECT_FALSE(work_.exists("sub/a"));
  EXPECT_EQ(call("shell", {{"command", "echo x > sub/a"}}).status, ToolStatus::kCompleted);
  EXPECT_EQ(work_.read("sub/a"), "x\n");
  EXPECT_EQ(notes_.size(), 1u);
}

TEST_F(ToolsTest, TierCAsksForEverything) {
  open(SandboxMeans::kNone);
  EXPECT_EQ(call("shell", {{"command", "touch made"}}, /*agree=*/false).status, ToolStatus::kDeclined);
  EXPECT_FALSE(work_.exists("made"));
  EXPECT_EQ(call("shell", {{"command", "touch made"}}).status, ToolStatus::kCompleted);
  EXPECT_TRUE(work_.exists("made"));
  EXPECT_EQ(asked_.size(), 2u);
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_TRUE(mentions(notes_[0], "tier C"));
  if (toolbox_->find("python") == nullptr) return;
  asked_.clear();
  call("python", {{"code", "1"}});
  call("python", {{"code", "2"}});
  EXPECT_EQ(asked_.size(), 2u);
  // Search does without ripgrep rather than ask.
  asked_.clear();
  EXPECT_EQ(call("search", {{"query", "x"}}).text, "No matches.");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ToolsTest, TheNetworkIsAskedFor) {
  const ToolResult refused = call("shell", {{"command", "true"}, {"network", true}}, /*agree=*/false);
  EXPECT_EQ(refused.status, ToolStatus::kDeclined);
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_TRUE(mentions(asked_[0].reason, "network"));
}

}  // namespace
}  // namespace atelier::agent
