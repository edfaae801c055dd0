// What a model is told about a workspace before it is asked anything.
#include <gtest/gtest.h>

#include "agent/context/ctags.h"
#include "agent/context/instructions.h"
#include "agent/context/mentions.h"
#include "agent/context/repo_map.h"
#include "agent/context/shown_files.h"
#include "agent/tools/programs.h"
#include "agent/tools/sandbox_runner.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class ContextTest : public ::testing::Test {
 protected:
  ContextTest() { ::setenv("XDG_CONFIG_HOME", (home_ / "config").c_str(), 1); }
  ~ContextTest() override { ::unsetenv("XDG_CONFIG_HOME"); }
  Workspace workspace(const std::string& folder = "") {
    auto opened = Workspace::open(work_ / folder);
    EXPECT_TRUE(opened);
    return std::move(*opened);
  }
  ScratchFolder work_, home_;
};

TEST_F(ContextTest, MentionsAreFoundAsPeopleWriteThem) {
  const auto paths = [](std::string_view text) {
    std::string all;
    for (const Mention& mention : mentions_in(text))
      all += mention.path + ":" + std::to_string(mention.first_line) + "-" +
             std::to_string(mention.last_line) + " ";
    return all;
  };
  EXPECT_EQ(paths("look at @src/a.cpp, and (@b.h) or @docs/!"), "src/a.cpp:0-0 b.h:0-0 docs/:0-0 ");
  EXPECT_EQ(paths("@a.c:10-20 @b.c:7 @c.c:x @d.c:5-2"), "a.c:10-20 b.c:7-7 c.c:x:0-0 d.c:5-2:0-0 ");
  EXPECT_EQ(paths("me@example.org @\"my file.txt\" @ @a @a"), "my file.txt:0-0 a:0-0 ");
}

TEST_F(ContextTest, MentionsBringWhatTheyName) {
  work_.write("a.txt", "one\ntwo\nthree\n");
  work_.write("sub/b.txt", "b\n");
  work_.write("binary", std::string("\0x", 2));
  std::filesystem::create_symlink("/etc/passwd", work_ / "link");
  const Workspace here = workspace();
  EXPECT_EQ(with_mentions(here, "do @a.txt"), "do @a.txt\n\n# File a.txt\n\none\ntwo\nthree\n");
  EXPECT_EQ(with_mentions(here, "do @a.txt:2-3"),
            "do @a.txt:2-3\n\n# File a.txt, lines 2 to 3\n\ntwo\nthree\n");
  EXPECT_EQ(with_mentions(here, "do @sub"), "do @sub\n\n# Folder sub\n\nsub/b.txt\n");
  for (const char* text : {"do @nothing", "do @link", "do @../x", "do @/etc/passwd"})
    EXPECT_EQ(with_mentions(here, text), text);
  EXPECT_TRUE(has(with_mentions(here, "@binary"), "[binary is a binary file of 2 bytes]"));
  work_.write("big.txt", std::string(100'000, 'x') + "\n");
  EXPECT_LT(with_mentions(here, "@big.txt @big.txt:1", {.max_bytes = 5000}).size(), 6500u);
}

TEST_F(ContextTest, WhatWasShownFollowsFromTheConversation) {
  for (const char* name : {"a.c", "b.c", "c.c", "d.c", "e.c", "f g.c", "never.c"}) work_.write(name, "x\n");
  work_.write("sub/x.c", "x\n");
  std::filesystem::create_symlink("a.c", work_ / "link.c");
  chat::Conversation conversation;
  const auto call = [&](const std::string& arguments, const std::string& result) {
    chat::Message said{.role = chat::Role::kAssistant};
    said.tool_calls.push_back({.id = "1", .name = "tool", .arguments = arguments});
    conversation.messages.push_back(std::move(said));
    conversation.messages.push_back({.role = chat::Role::kTool, .content = result, .tool_call_id = "1"});
  };
  conversation.messages.push_back({.role = chat::Role::kUser, .content = "Mend @a.c, @link.c and @gone.c."});
  call(R"({"path": "b.c", "line_start": 3})", "");
  call(R"({"cmd": ["bash", "-lc", "sed -n 1,9p ./sub/x.c | grep -c 'y' <c.c"]})", "");
  call(R"({"query": "x"})", "d.c:1:x\nnever.c says: nothing\n");
  call(R"({"patch": "*** Begin Patch\n*** Update File: f g.c\n@@\n-x\n*** End Patch"})", "");
  call("not JSON: cat e.c", "");
  EXPECT_EQ(shown_files(workspace(), conversation),
            (std::vector<std::string>{"e.c", "f g.c", "d.c", "sub/x.c", "c.c", "b.c", "a.c"}));
}

TEST_F(ContextTest, InstructionsComeFromTheRootDown) {
  work_.write("AGENTS.md", "root rules\n");
  work_.write("sub/AGENTS.md", "sub rules\n");
  work_.write("sub/deep/AGENTS.md", "deep rules\n");
  work_.write(".git/HEAD", "ref: refs/heads/main\n");
  home_.write("config/atelier/AGENTS.md", "the user's rules\n");
  const std::string text = briefing(workspace("sub"), {});
  const size_t user = text.find("the user's rules"), root = text.find("root rules"),
               sub = text.find("sub rules");
  EXPECT_LT(user, root);
  EXPECT_LT(root, sub);
  EXPECT_NE(sub, std::string::npos);
  EXPECT_FALSE(has(text, "deep rules"));
  EXPECT_TRUE(has(text, "Branch main"));
}

TEST_F(ContextTest, TheBudgetIsInTokens) {
  for (int i = 0; i < 300; ++i)
    work_.write("f" + std::to_string(i) + ".py", "def function" + std::to_string(i) + "(): pass\n");
  work_.write("AGENTS.md", std::string(200'000, 'r'));
  const auto count = [](std::string_view text) { return text.size(); };  // a token for each byte
  const size_t fixed = briefing(workspace(), {.max_tokens = 0}).size();
  for (const size_t max : {500u, 2000u, 20'000u}) {
    const std::string text = briefing(workspace(), {.max_tokens = max, .count_tokens = count});
    EXPECT_LE(text.size(), fixed + max + 200) << max;
    EXPECT_GT(text.size(), fixed + max / 2) << max;
  }
  const std::string map = repo_map(workspace(), {.max_tokens = 1000, .count_tokens = count});
  EXPECT_LE(map.size(), 1000u);
  EXPECT_TRUE(has(map, "more files]"));
}

TEST_F(ContextTest, TheMapPutsFirstWhatOthersUse) {
  work_.write("core.py", "class Engine:\n    pass\n");
  for (int i = 0; i < 5; ++i)
    work_.write("user" + std::to_string(i) + ".py", "from core import Engine\ndef run(): Engine()\n");
  EXPECT_TRUE(repo_map(workspace()).starts_with("core.py: Engine\n")) << repo_map(workspace());
}

TEST_F(ContextTest, CtagsTellsMoreAndObeysNothingOfTheRepository) {
  if (!has_program("ctags")) GTEST_SKIP() << "NOT PROVED HERE: ctags is not installed";
  work_.write("a.cpp",
              "namespace n {  // a name of one letter says little\nclass Widget {\n  void "
              "hidden();\n};\n}\nint add(int a) { int local = a; "
              "return local; }\n");
  work_.write(".ctags.d/x.ctags", "--exclude=*\n");
  auto runner = make_sandbox_runner({.policy = {.workspace = work_.path(), .home = home_.path()}});
  ASSERT_TRUE(runner);
  if (!(*runner)->asks({.argv = {"ctags"}}).empty())
    GTEST_SKIP() << "NOT PROVED HERE: " << (*runner)->banner();
  const auto symbols = ctags_symbols(**runner, {"a.cpp"});
  ASSERT_TRUE(symbols);
  EXPECT_EQ(symbols->at("a.cpp"), (std::vector<std::string>{"Widget", "add"}));
  // Kept, and read again when a file has changed.
  std::vector<WalkEntry> files;
  const auto list = [&] {
    files.clear();
    ASSERT_TRUE(walk_files(workspace(), {.hidden = false}, [&](const WalkEntry& entry) {
      if (entry.kind == WalkEntry::Kind::kFile) files.push_back(entry);
      return Walk::kOn;
    }));
  };
  list();
  const std::filesystem::path cache = home_ / "cache/symbols.json";
  ASSERT_TRUE(cached_ctags_symbols(**runner, files, cache));
  EXPECT_TRUE(std::filesystem::exists(cache));
  work_.write("a.cpp", "int renamed(int a) { return a; }\n");
  list();
  EXPECT_EQ(cached_ctags_symbols(**runner, files, cache)->at("a.cpp"), (std::vector<std::string>{"renamed"}));
  std::ofstream(cache) << "damaged";
  EXPECT_EQ(cached_ctags_symbols(**runner, files, cache)->at("a.cpp"), (std::vector<std::string>{"renamed"}));
}

}  // namespace
}  // namespace atelier::agent
