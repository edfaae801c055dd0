// Sessions that are kept: files, transcripts and ids go back and forth together, and survive anything.
#include "agent/session/timeline.h"

#include <gtest/gtest.h>

#include "agent/session/state_json.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

chat::Message said(chat::Role role, std::string text) { return {.role = role, .content = std::move(text)}; }

// A session without a model: tasks are what a test says they did.
class TimelineTest : public ::testing::Test {
 protected:
  TimelineTest() {
    transcript_.conversation.messages = {said(chat::Role::kSystem, "You are a test.")};
    options_ = {.database = state_ / "atelier/sessions.db", .journal_folder = state_ / "edits"};
  }
  Timeline& begin() {
    auto workspace = Workspace::open(work_.path());
    EXPECT_TRUE(workspace);
    workspace_ = std::make_unique<Workspace>(std::move(*workspace));
    auto made =
        Timeline::begin(*workspace_, {.id = "20250101-000000-00000001", .model = "m", .vocabulary = "v"},
                        transcript_, options_);
    EXPECT_TRUE(made) << made.error().message;
    timeline_ = std::move(*made);
    return *timeline_;
  }
  Timeline& resume(const std::string& id = "2025") {
    timeline_.reset();
    auto made = Timeline::resume(*workspace_, id, options_);
    EXPECT_TRUE(made) << made.error().message;
    timeline_ = std::move(*made);
    take(timeline_->transcript());
    return *timeline_;
  }
  void take(const Result<StoredTranscript>& stored) {
    ASSERT_TRUE(stored);
    transcript_.conversation.messages = stored->messages;
    transcript_.ids = stored->ids;
  }
  void ok(const Status& status) { ASSERT_TRUE(status) << status.error().message; }

  // One task: the user asks, `work` does, the model answers.
  template <class Work>
  void task(const std::string& text, Work&& work) {
    transcript_.conversation.messages.push_back(said(chat::Role::kUser, text));
    ok(timeline_->on_task(transcript_, text));
    ok(timeline_->before_effects());
    work();
    transcript_.conversation.messages.push_back(said(chat::Role::kAssistant, "did " + text));
    for (int i = 0; i < 5; ++i) transcript_.ids.push_back(static_cast<TokenId>(transcript_.ids.size() * 7));
    ok(timeline_->on_end(transcript_, {}));
  }
  Timeline::Move moved(Result<Timeline::Move> move) {
    EXPECT_TRUE(move) << move.error().message;
    if (!move) return {};
    take(move->transcript);
    return std::move(*move);
  }

  ScratchFolder work_, state_;
  TimelineOptions options_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<Timeline> timeline_;
  Transcript transcript_;
};

TEST_F(TimelineTest, UndoAndRedoMoveFilesAndTranscriptTogether) {
  work_.write("a.txt", "one\n");
  work_.write("run.sh", "echo\n", 0755);
  work_.write("gone/b.txt", "b\n");
  const auto at_start = work_.tree();
  begin();
  task("first", [&] {
    work_.write("a.txt", "two\n");
    work_.write("run.sh", "echo\n", 0644);
    work_.write("new/deep/c.txt", "c\n");
    std::filesystem::remove_all(work_ / "gone");
    std::filesystem::create_symlink("a.txt", work_ / "link");
  });
  const auto after_first = work_.tree();
  task("second", [&] {
    work_.write("a.txt", "three\n");
    std::filesystem::remove(work_ / "link");
    work_.write("link", "a file now\n");
  });
  const auto after_second = work_.tree();
  const auto all_ids = transcript_.ids;

  EXPECT_EQ(moved(timeline_->undo()).task, "second");
  EXPECT_EQ(work_.tree(), after_first);
  EXPECT_EQ(transcript_.conversation.messages.back().content, "did first");
  EXPECT_EQ(transcript_.ids.size(), 5u);
  EXPECT_EQ(moved(timeline_->undo()).task, "first");
  EXPECT_EQ(work_.tree(), at_start);
  EXPECT_EQ(transcript_.conversation.messages.size(), 1u);
  EXPECT_TRUE(transcript_.ids.empty());
  EXPECT_FALSE(timeline_->undo());
  EXPECT_EQ(moved(timeline_->redo()).task, "first");
  EXPECT_EQ(work_.tree(), after_first);
  moved(timeline_->redo());
  EXPECT_EQ(work_.tree(), after_second);
  EXPECT_EQ(transcript_.ids, all_ids);
  EXPECT_FALSE(timeline_->redo());
}

TEST_F(TimelineTest, WhatTheUserChangedIsNeverOverwritten) {
  work_.write("a.txt", "one\n");
  work_.write("b.txt", "one\n");
  begin();
  task("edit", [&] {
    work_.write("a.txt", "two\n");
    work_.write("b.txt", "two\n");
  });
  work_.write("a.txt", "the user's\n");
  const Timeline::Move move = moved(timeline_->undo());
  EXPECT_EQ(move.files.left, std::vector<std::string>{"a.txt"});
  EXPECT_EQ(move.files.moved, std::vector<std::string>{"b.txt"});
  EXPECT_EQ(work_.read("a.txt"), "the user's\n");
  EXPECT_EQ(work_.read("b.txt"), "one\n");
}

TEST_F(TimelineTest, WhatTheUserDoesBetweenTasksIsNotUndone) {
  work_.write("a.txt", "one\n");
  begin();
  task("edit", [&] { work_.write("a.txt", "two\n"); });
  work_.write("mine.txt", "mine\n");
  task("more", [&] { work_.write("a.txt", "three\n"); });
  moved(timeline_->undo());
  moved(timeline_->undo());
  EXPECT_EQ(work_.read("a.txt"), "one\n");
  EXPECT_EQ(work_.read("mine.txt"), "mine\n");
}

TEST_F(TimelineTest, IgnoredFilesAreKeptWhereAToolChangedThem) {
  work_.write(".gitignore", "*.o\nbuild/\n");
  work_.write("a.o", "old\n");
  work_.write("build/b", "old\n");
  begin();
  task("edit", [&] {
    work_.write("build/b", "by a command\n");
    work_.write("a.o", "new\n");
    const FileChange change{.path = "a.o",
                            .before = FileVersion{"old\n", 0644},
                            .after = FileVersion{"new\n", 0644},
                            .moved_from = {},
                            .moved_to = {}};
    ok(timeline_->on_changes({&change, 1}));
  });
  moved(timeline_->undo());
  EXPECT_EQ(work_.read("a.o"), "old\n");
  EXPECT_EQ(work_.read("build/b"), "by a command\n");
}

TEST_F(TimelineTest, GitsFolderIsNeverTouched) {
  work_.write(".git/index", "precious");
  work_.write("a.txt", "one\n");
  begin();
  task("edit", [&] {
    work_.write(".git/index", "changed by a command");
    work_.write("a.txt", "two\n");
  });
  moved(timeline_->undo());
  EXPECT_EQ(work_.read(".git/index"), "changed by a command");
  EXPECT_EQ(work_.read("a.txt"), "one\n");
}

TEST_F(TimelineTest, AnInterruptedTaskBecomesATurnThatCanBeUndone) {
  work_.write("a.txt", "one\n");
  begin();
  task("first", [] {});
  transcript_.conversation.messages.push_back(said(chat::Role::kUser, "second"));
  ok(timeline_->on_task(transcript_, "second"));
  transcript_.conversation.messages.push_back(
      {.role = chat::Role::kAssistant,
       .tool_calls = {{.id = "call_1", .name = "shell", .arguments = "{}"},
                      {.id = "call_2", .name = "shell", .arguments = "{}"}}});
  transcript_.conversation.messages.push_back(
      {.role = chat::Role::kTool, .content = "fine", .tool_call_id = "call_1", .tool_name = "shell"});
  ok(timeline_->on_step(transcript_));
  ok(timeline_->before_effects());
  work_.write("a.txt", "half\n");  // and here the program dies

  resume();
  EXPECT_EQ(timeline_->interrupted_task(), "second");
  EXPECT_EQ(timeline_->session().n_turns, 2u);
  const chat::Message& last = transcript_.conversation.messages.back();
  EXPECT_EQ(last.tool_call_id, "call_2");
  EXPECT_NE(last.content.find("not known"), std::string::npos);
  moved(timeline_->undo());
  EXPECT_EQ(work_.read("a.txt"), "one\n");
  EXPECT_EQ(transcript_.conversation.messages.back().content, "did first");
}

TEST_F(TimelineTest, AMoveThatWasInterruptedIsTakenBack) {
  work_.write("a.txt", "one\n");
  work_.write("b.txt", "one\n");
  begin();
  task("edit", [&] {
    work_.write("a.txt", "two\n");
    work_.write("b.txt", "two\n");
  });
  const int64_t opening = timeline_->store().path_to(timeline_->session().head)->front().id;
  ok(timeline_->store().set_pending(work_.path().string(), opening));
  work_.write("a.txt", "one\n");  // undone so far
  resume();
  EXPECT_EQ(work_.read("a.txt"), "two\n");
  EXPECT_EQ(work_.read("b.txt"), "two\n");
  moved(timeline_->undo());
  EXPECT_EQ(work_.read("a.txt"), "one\n");
  EXPECT_EQ(work_.read("b.txt"), "one\n");
}

TEST_F(TimelineTest, AForkGoesItsOwnWayAndComingBackMovesFiles) {
  work_.write("a.txt", "one\n");
  begin();
  task("shared", [&] { work_.write("a.txt", "shared\n"); });
  const std::string original = timeline_->session().id;
  ok(timeline_->fork());
  const std::string fork = timeline_->session().id;
  EXPECT_NE(fork, original);
  task("forked", [&] { work_.write("a.txt", "forked\n"); });
  moved(timeline_->switch_to(original));
  EXPECT_EQ(work_.read("a.txt"), "shared\n");
  EXPECT_EQ(transcript_.conversation.messages.back().content, "did shared");
  task("other", [&] { work_.write("a.txt", "other\n"); });
  resume(fork);
  EXPECT_EQ(work_.read("a.txt"), "forked\n");
  EXPECT_EQ(timeline_->arrived().moved, std::vector<std::string>{"a.txt"});
  EXPECT_EQ(timeline_->store().list(work_.path().string(), 10)->size(), 2u);
}

TEST_F(TimelineTest, ASessionIsWorkedOnByOneProcess) {
  begin();
  auto second = Timeline::resume(*workspace_, "2025", options_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another process"), std::string::npos);
}

TEST_F(TimelineTest, AWriteWithinATickOfTheClockIsSeen) {
  begin();
  for (int i = 0; i < 50; ++i) {
    work_.write("a.txt", "aaaa");
    task("t", [&] { work_.write("a.txt", "bbbb"); });
    moved(timeline_->undo());
    ASSERT_EQ(work_.read("a.txt"), "aaaa") << i;
  }
}

TEST_F(TimelineTest, RemovingASessionLeavesWhatAForkStandsOn) {
  work_.write("a.txt", "one\n");
  begin();
  const std::string original = timeline_->session().id;
  task("shared", [&] { work_.write("a.txt", "two\n"); });
  ok(timeline_->fork());
  const std::string fork = timeline_->session().id;
  auto store = SessionStore::open(options_.database);
  ASSERT_TRUE(store);
  ok(store->remove(original));
  EXPECT_TRUE(store->collect_garbage());
  EXPECT_FALSE(store->find(original));
  resume(fork);
  moved(timeline_->undo());
  EXPECT_EQ(work_.read("a.txt"), "one\n");
}

TEST(SessionStore, ASessionIsFoundByItsBeginning) {
  const ScratchFolder state;
  auto store = SessionStore::open(state / "s.db");
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_TRUE(store->create({.id = "20250101-000000-00000001"}));
  ASSERT_TRUE(store->create({.id = "20250102-000000-00000001"}));
  EXPECT_EQ(store->find("20250102")->id, "20250102-000000-00000001");
  EXPECT_EQ(store->find("2025").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->find("3").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->find("").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->find("%").error().code, ErrorCode::kNotFound);
}

TEST(SessionStore, AFileThatIsNoDatabaseIsNamed) {
  const ScratchFolder state;
  state.write("s.db", std::string(4096, 'x'));
  const auto store = SessionStore::open(state / "s.db");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(store.error().message.find("s.db"), std::string::npos);
}

TEST(FileIndex, SurvivesItsEncodingAndNothingElseDoes) {
  const ScratchFolder work;
  work.write("a/b.txt", "text\n");
  auto workspace = Workspace::open(work.path());
  ASSERT_TRUE(workspace);
  FileIndex index;
  const KeepContent keep = [](const Sha256&, std::string_view) { return Status(); };
  ASSERT_TRUE(index.scan(*workspace, keep));
  ASSERT_EQ(index.size(), 2u);
  const std::string bytes = index.encode();
  EXPECT_EQ(FileIndex::decode(bytes).find("a/b.txt"), index.find("a/b.txt"));
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_EQ(FileIndex::decode(bytes.substr(0, n)).size(), 0u);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_EQ(FileIndex::decode(changed).size(), 0u);
  }
}

TEST(StateChanges, SurviveTheirText) {
  const std::vector<StateChange> changes = {
      {"a", std::nullopt, FileState{.mode = 0755, .digest = sha256("x")}},
      {"b", FileState{.kind = FileKind::kLink, .digest = sha256("y")}, FileState{.kind = FileKind::kFolder}},
      {"c \"d\"", FileState{.kept = false}, std::nullopt}};
  EXPECT_EQ(*state_changes_from(state_changes_text(changes)), changes);
  EXPECT_FALSE(state_changes_from("[{}]"));
  EXPECT_FALSE(state_changes_from(R"([{"path":"a","before":{"kind":"ship"}}])"));
}

}  // namespace
}  // namespace atelier::agent
