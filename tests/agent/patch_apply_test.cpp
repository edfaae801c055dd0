// Whole patches on real folders: what changes, what is reported, what is refused.
#include "agent/patch/apply.h"

#include <gtest/gtest.h>

#include "agent/workspace/transaction.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

using Tree = std::map<std::string, std::string>;

class PatchApply : public ::testing::TestWithParam<Resolver> {
 protected:
  Workspace workspace() {
    auto opened = Workspace::open(folder_.path());
    EXPECT_TRUE(opened.has_value());
    opened->set_resolver(GetParam());
    return std::move(*opened);
  }
  Result<std::vector<FileChange>> apply(const std::string& body, ApplyOptions options = {}) {
    options.journal_folder = state_ / "edits";
    return apply_patch(workspace(), "*** Begin Patch\n" + body + "*** End Patch\n", options);
  }
  // Applies, checks the summary, and that undoing restores every byte and mode.
  void expect(const std::string& body, const std::string& lines, const Tree& changed) {
    const Tree before = folder_.tree();
    const auto checked = apply(body, {.check = true});
    ASSERT_TRUE(checked.has_value()) << checked.error().message;
    EXPECT_EQ(folder_.tree(), before);
    const auto changes = apply(body);
    ASSERT_TRUE(changes.has_value()) << changes.error().message;
    EXPECT_EQ(summary(*checked), lines);
    EXPECT_EQ(summary(*changes), lines);
    const Tree after = folder_.tree();
    Tree wanted = before;
    for (const auto& [name, what] : changed)
      if (what.empty()) {
        wanted.erase(name);
      } else {
        wanted[name] = what;
      }
    EXPECT_EQ(after, wanted);
    ASSERT_TRUE(commit_changes(workspace(), inverse(*changes), state_ / "edits").has_value());
    Tree undone = folder_.tree();
    std::erase_if(
        undone, [&](const auto& entry) { return entry.second == "folder" && !before.contains(entry.first); });
    EXPECT_EQ(undone, before);
    ASSERT_TRUE(commit_changes(workspace(), *changes, state_ / "edits").has_value());
    EXPECT_EQ(folder_.tree(), after);
    EXPECT_TRUE(std::filesystem::is_empty(state_ / "edits"));
  }
  void expect_refused(const std::string& body, std::initializer_list<std::string_view> parts) {
    const Tree before = folder_.tree();
    const auto changes = apply(body);
    ASSERT_FALSE(changes.has_value()) << body;
    for (const auto part : parts)
      EXPECT_NE(changes.error().message.find(part), std::string::npos) << changes.error().message;
    EXPECT_EQ(folder_.tree(), before);
  }
  ScratchFolder folder_{ScratchFolder::Place::kMemory}, state_{ScratchFolder::Place::kMemory};
};

TEST_P(PatchApply, AddsUpdatesDeletesAndMoves) {
  folder_.write("change", "a\nb\n", 0640);
  folder_.write("gone", "x\n", 0600);
  folder_.write("bin/tool", "#!/bin/sh\nold\n", 0755);
  expect(
      "*** Add File: deep/er/new\n+hello\n"
      "*** Delete File: gone\n"
      "*** Update File: change\n@@\n-b\n+c\n"
      "*** Update File: bin/tool\n*** Move to: sbin/tool2\n@@\n-old\n+new\n",
      "A deep/er/new\nD gone\nM change\nR bin/tool -> sbin/tool2\n",
      {{"deep", "folder"},
       {"deep/er", "folder"},
       {"deep/er/new", "420 hello\n"},
       {"gone", ""},
       {"change", "416 a\nc\n"},
       {"bin/tool", ""},
       {"sbin", "folder"},
       {"sbin/tool2", "493 #!/bin/sh\nnew\n"}});
}

TEST_P(PatchApply, ReplacesWhatIsThere) {
  folder_.write("old", "1\n", 0755);
  folder_.write("from", "f\n", 0600);
  folder_.write("to", "t\n", 0644);
  expect("*** Add File: old\n+2\n*** Update File: from\n*** Move to: to\n@@\n-f\n+g\n",
         "M old\nR from -> to\n", {{"old", "493 2\n"}, {"from", ""}, {"to", "384 g\n"}});
}

TEST_P(PatchApply, SectionsSeeWhatEarlierOnesDid) {
  folder_.write("a", "1\n2\n3\n");
  folder_.write("b", "b\n");
  expect(
      "*** Update File: a\n@@\n-3\n+drei\n*** Update File: a\n@@\n-1\n+eins\n"  // backwards, in two sections
      "*** Add File: n\n+x\n*** Update File: n\n@@\n-x\n+y\n"
      "*** Delete File: b\n*** Add File: b\n+new\n",
      "M a\nA n\nM b\n", {{"a", "420 eins\n2\ndrei\n"}, {"n", "420 y\n"}, {"b", "420 new\n"}});
}

TEST_P(PatchApply, SwapsNames) {
  folder_.write("a", "A\n");
  folder_.write("b", "B\n");
  expect(
      "*** Update File: a\n*** Move to: t\n*** Update File: b\n*** Move to: a\n*** Update File: t\n*** Move "
      "to: b\n",
      "R b -> a\nR t -> b\n", {{"a", "420 B\n"}, {"b", "420 A\n"}});
}

TEST_P(PatchApply, PathsInTheWorkspaceOnly) {
  folder_.write("sub/a", "1\n");
  expect("*** Update File: ./sub/../sub//a\n@@\n-1\n+2\n", "M sub/a\n", {{"sub/a", "420 2\n"}});
  expect("*** Update File: " + (folder_ / "sub/a").string() + "\n@@\n-2\n+3\n", "M sub/a\n",
         {{"sub/a", "420 3\n"}});
  expect_refused("*** Add File: ../x\n+y\n", {"../x: outside of the workspace", "patch line 2"});
  expect_refused("*** Add File: /etc/x\n+y\n", {"/etc/x: outside"});
  expect_refused("*** Update File: sub/a\n*** Move to: ../x\n", {"../x: outside"});
  expect_refused("*** Delete File: sub\n", {"sub: expected a file, found a folder"});
  expect_refused("*** Add File: sub\n+y\n", {"sub: expected a file, found a folder"});
  expect_refused("*** Add File: sub/a/b\n+y\n", {"sub/a/b: a file stands where a folder should"});
}

TEST_P(PatchApply, RelativeToAFolder) {
  folder_.write("sub/a", "1\n");
  ASSERT_TRUE(apply("*** Update File: a\n@@\n-1\n+2\n", {.folder = "sub"}).has_value());
  EXPECT_EQ(folder_.read("sub/a"), "2\n");
  const auto changes = apply_patch(
      workspace(),
      "cd sub && apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: a\n@@\n-2\n+3\n*** End Patch\nEOF\n",
      ApplyOptions{.journal_folder = state_ / "edits"});
  ASSERT_TRUE(changes.has_value()) << changes.error().message;
  EXPECT_EQ(folder_.read("sub/a"), "3\n");
}

TEST_P(PatchApply, LinksAreNotFollowed) {
  ScratchFolder outside;
  outside.write("file", "a\n");
  std::filesystem::create_symlink(outside / "file", folder_ / "link");
  std::filesystem::create_directory_symlink(outside.path(), folder_ / "dir");
  folder_.write("inside", "a\n");
  std::filesystem::create_symlink("inside", folder_ / "alias");
  for (const char* name : {"link", "dir/file", "alias"}) {
    const std::string path = name;
    expect_refused("*** Update File: " + path + "\n@@\n-a\n+b\n", {path, "symbolic link"});
    expect_refused("*** Delete File: " + path + "\n", {path, "symbolic link"});
    expect_refused("*** Add File: " + path + "\n+b\n", {path, "symbolic link"});
    expect_refused("*** Update File: inside\n*** Move to: " + path + "\n", {path, "symbolic link"});
  }
  expect_refused("*** Add File: dir/new\n+b\n", {"dir/new", "symbolic link"});
  EXPECT_EQ(outside.tree(), (Tree{{"file", "420 a\n"}}));
}

TEST_P(PatchApply, SpecialAndBinaryFilesAreRefused) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  folder_.write("bin", std::string("a\0b\n", 4));
  folder_.write("text", "a\n");
  expect_refused("*** Update File: fifo\n@@\n-a\n", {"fifo: expected a regular file"});
  expect_refused("*** Add File: fifo\n+a\n", {"fifo: expected a regular file"});
  expect_refused("*** Update File: bin\n@@\n-a\n", {"bin: expected text, found a binary file"});
  expect_refused("*** Delete File: bin\n", {"binary file"});
  expect_refused("*** Add File: bin\n+a\n", {"binary file"});
  expect_refused("*** Update File: text\n*** Move to: bin\n", {"binary file"});
  expect_refused(std::string("*** Add File: new\n+a\0\n", 22), {"new: expected text"});
}

TEST_P(PatchApply, FailuresChangeNothing) {
  folder_.write("a", "1\n");
  expect_refused("*** Add File: new\n+x\n*** Update File: a\n@@\n-1\n+2\n*** Update File: none\n@@\n-x\n",
                 {"none: no such file", "section at patch line 8"});
  expect_refused("*** Update File: a\n@@\n-1\n+2\n*** Update File: a\n@@\n-1\n+3\n",
                 {"a: hunk 1 (patch line 7)"});
  expect_refused("*** Delete File: a\n*** Update File: a\n@@\n-1\n", {"a: no such file"});
  expect_refused("*** Update File: a\n@@\n 1\n", {"every file is already"});
  expect_refused("*** Add File: t\n+x\n*** Delete File: t\n", {"every file is already"});
}

TEST_P(PatchApply, LargeFilesAreRefused) {
  folder_.write("big", std::string(kMaxFileBytes + 1, 'x'));
  expect_refused("*** Delete File: big\n", {"big: expected at most"});
}

INSTANTIATE_TEST_SUITE_P(Resolvers, PatchApply, ::testing::Values(Resolver::kKernel, Resolver::kWalk),
                         [](const auto& info) {
                           return info.param == Resolver::kKernel ? "kernel" : "walk";
                         });

TEST(Commit, RefusesWhatChangedMeanwhile) {
  ScratchFolder folder, state;
  folder.write("a", "now\n", 0600);
  const auto workspace = Workspace::open(folder.path());
  const auto commit = [&](FileChange change) {
    const auto done = commit_changes(*workspace, std::span(&change, 1), state.path());
    return done ? std::string() : done.error().message;
  };
  EXPECT_NE(commit({"a", FileVersion{"then\n", {}}, FileVersion{"x\n", {}}, {}, {}}).find("changed since"),
            std::string::npos);
  EXPECT_NE(commit({"a", FileVersion{"now\n", 0644}, FileVersion{"x\n", {}}, {}, {}}).find("changed since"),
            std::string::npos);
  EXPECT_NE(
      commit({"a", std::nullopt, FileVersion{"x\n", {}}, {}, {}}).find("expected no such file, found one"),
      std::string::npos);
  EXPECT_EQ(folder.tree(), (Tree{{"a", "384 now\n"}}));
  EXPECT_EQ(commit({"a", FileVersion{"now\n", 0600}, FileVersion{"x\n", 0755}, {}, {}}), "");
  EXPECT_EQ(folder.tree(), (Tree{{"a", "493 x\n"}}));
}

TEST(Commit, RefusesAPathTwice) {
  ScratchFolder folder, state;
  const auto workspace = Workspace::open(folder.path());
  const FileChange twice[] = {{"a", {}, FileVersion{"1", {}}, {}, {}},
                              {"a", {}, FileVersion{"2", {}}, {}, {}}};
  EXPECT_FALSE(commit_changes(*workspace, twice, state.path()).has_value());
}

}  // namespace
}  // namespace atelier::agent
