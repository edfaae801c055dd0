// An edit that fails or dies at any system call: all old files or all new ones, never part of one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <functional>
#include <set>

#include "agent/patch/apply.h"
#include "agent/workspace/transaction.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

using Tree = std::map<std::string, std::string>;

// Asks before every call; the answer is an errno to fail with, or 0.
class WatchedOps : public FileOps {
 public:
  std::function<int(const char* call)> before = [](const char*) { return 0; };
  bool old_file_system = false;  // knows no rename flags
  size_t max_write = SIZE_MAX;   // short writes

  int open_beneath(int folder, const char* path, int flags, mode_t mode) override {
    return ask("openat2") ? FileOps::open_beneath(folder, path, flags, mode) : -1;
  }
  int open(int folder, const char* name, int flags, mode_t mode) override {
    return ask("open") ? FileOps::open(folder, name, flags, mode) : -1;
  }
  ssize_t read(int fd, void* bytes, size_t n) override {
    return ask("read") ? FileOps::read(fd, bytes, n) : -1;
  }
  ssize_t write(int fd, const void* bytes, size_t n) override {
    return ask("write") ? FileOps::write(fd, bytes, std::min(n, max_write)) : -1;
  }
  int fstat(int fd, struct stat* info) override { return ask("fstat") ? FileOps::fstat(fd, info) : -1; }
  int lstat(int folder, const char* name, struct stat* info) override {
    return ask("lstat") ? FileOps::lstat(folder, name, info) : -1;
  }
  int fchmod(int fd, mode_t mode) override { return ask("fchmod") ? FileOps::fchmod(fd, mode) : -1; }
  int fsync(int fd) override { return ask("fsync") ? FileOps::fsync(fd) : -1; }
  int mkdir(int folder, const char* name, mode_t mode) override {
    return ask("mkdir") ? FileOps::mkdir(folder, name, mode) : -1;
  }
  int rename(int from, const char* old_name, int to, const char* new_name, unsigned flags) override {
    if (!ask("rename")) return -1;
    if (old_file_system && flags != 0) {
      errno = EINVAL;
      return -1;
    }
    return FileOps::rename(from, old_name, to, new_name, flags);
  }
  int unlink(int folder, const char* name, int flags) override {
    return ask("unlink") ? FileOps::unlink(folder, name, flags) : -1;
  }

 private:
  bool ask(const char* call) {
    const int error = before(call);
    if (error != 0) errno = error;
    return error == 0;
  }
};

constexpr const char* kPatch =
    "*** Begin Patch\n"
    "*** Add File: new/deep/added\n+one\n+two\n"
    "*** Update File: changed\n@@\n-b\n+B\n"
    "*** Delete File: deleted\n"
    "*** Update File: from\n*** Move to: dir/to\n@@\n-f\n+F\n"
    "*** Add File: dir/replaced\n+new\n"
    "*** End Patch\n";

void write_files(const ScratchFolder& folder) {
  folder.write("changed", "a\nb\nc\n", 0640);
  folder.write("deleted", "d\n");
  folder.write("from", "f\n", 0755);
  folder.write("dir/replaced", "old\n");
  folder.write("bystander", "x\n");
}

class PatchAtomic : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ops_.old_file_system = GetParam();
    write_files(folder_);
    old_tree_ = folder_.tree();
    ASSERT_TRUE(apply(ops_).has_value());
    new_tree_ = folder_.tree();
    ASSERT_NE(old_tree_, new_tree_);
    reset();
  }

  // The old files, whatever a test left.
  void reset() {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      std::filesystem::remove_all(entry.path());
    std::filesystem::remove_all(journal());
    write_files(folder_);
    ASSERT_EQ(folder_.tree(), old_tree_);
  }

  std::filesystem::path journal() const { return state_ / "edits"; }

  Result<std::vector<FileChange>> apply(WatchedOps& ops) {
    ATELIER_TRY(const Workspace workspace, Workspace::open(folder_.path(), ops));
    return apply_patch(workspace, std::string_view(kPatch), ApplyOptions{.journal_folder = journal()});
  }
  Result<Recovery> recover_now(FileOps& ops = system_file_ops()) {
    ATELIER_TRY(const Workspace workspace, Workspace::open(folder_.path(), ops));
    return recover(workspace, journal());
  }

  // How many calls an undisturbed run makes.
  size_t count_calls() {
    size_t n = 0;
    ops_.before = [&n](const char*) { return ++n, 0; };
    EXPECT_TRUE(apply(ops_).has_value());
    ops_.before = [](const char*) { return 0; };
    reset();
    return n;
  }

  // Runs `work` in a process that is killed before its call number `at` (from 0). Whether it got that far.
  bool run_killed(size_t at, const std::function<void(WatchedOps&)>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      size_t n = 0;
      ops_.before = [&n, at](const char*) {
        if (n++ == at) ::kill(::getpid(), SIGKILL);
        return 0;
      };
      work(ops_);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status);
  }

  // Under each name the whole old file, the whole new one, or, where a file system cannot exchange names,
  // nothing for the moment.
  void expect_no_half_file() {
    for (const auto& [name, what] : folder_.tree()) {
      if (name.find(".atelier-") != std::string::npos || what == "folder") continue;
      const bool old_file = old_tree_.contains(name) && old_tree_.at(name) == what;
      const bool new_file = new_tree_.contains(name) && new_tree_.at(name) == what;
      EXPECT_TRUE(old_file || new_file) << name << ": " << what;
    }
    if (!GetParam()) EXPECT_TRUE(folder_.exists("changed") && folder_.exists("dir/replaced"));
  }

  bool clean_journal() { return !std::filesystem::exists(journal()) || std::filesystem::is_empty(journal()); }

  ScratchFolder folder_{ScratchFolder::Place::kMemory}, state_{ScratchFolder::Place::kMemory};
  WatchedOps ops_;
  Tree old_tree_, new_tree_;
};

TEST_P(PatchAtomic, KilledAtAnyCallRecoveryLeavesAllOldOrAllNew) {
  const size_t n_calls = count_calls();
  ASSERT_GT(n_calls, 60u);
  size_t n_old = 0, n_new = 0;
  for (size_t at = 0; at < n_calls; ++at) {
    ASSERT_TRUE(run_killed(at, [this](WatchedOps& ops) { (void)apply(ops); })) << at;
    expect_no_half_file();
    const auto recovery = recover_now();
    ASSERT_TRUE(recovery.has_value()) << at << ": " << recovery.error().message;
    EXPECT_TRUE(recovery->left.empty());
    const Tree tree = folder_.tree();
    ASSERT_TRUE(tree == old_tree_ || tree == new_tree_) << "killed before call " << at;
    (tree == old_tree_ ? n_old : n_new)++;
    for (const auto& entry : std::filesystem::exists(journal())
                                 ? std::filesystem::directory_iterator(journal())
                                 : std::filesystem::directory_iterator())
      EXPECT_TRUE(entry.path().string().ends_with(".new")) << entry.path();  // a draft of the journal itself
    reset();
  }
  EXPECT_GT(n_old, 10u);
  EXPECT_GT(n_new, 10u);
  RecordProperty("calls", std::to_string(n_calls));
}

TEST_P(PatchAtomic, KilledAgainWhileRecovering) {
  const size_t n_calls = count_calls();
  for (size_t at = 3; at < n_calls; at += 5)
    for (size_t again = 0;; ++again) {
      ASSERT_TRUE(run_killed(at, [this](WatchedOps& ops) { (void)apply(ops); }));
      const bool killed = run_killed(again, [this](WatchedOps& ops) { (void)recover_now(ops); });
      expect_no_half_file();
      ASSERT_TRUE(recover_now().has_value());
      const Tree tree = folder_.tree();
      ASSERT_TRUE(tree == old_tree_ || tree == new_tree_) << at << ", " << again;
      reset();
      if (!killed) break;
      again += again > 20 ? 2 : 0;
    }
}

TEST_P(PatchAtomic, OneFailingCallChangesNothingOrNothingMatters) {
  const size_t n_calls = count_calls();
  for (const int error : {EIO, ENOSPC, EACCES})
    for (size_t at = 0; at < n_calls; ++at) {
      size_t n = 0;
      std::string failed_call;
      ops_.before = [&](const char* call) {
        if (n++ != at) return 0;
        failed_call = call;
        return error;
      };
      const auto changes = apply(ops_);
      ops_.before = [](const char*) { return 0; };
      const bool pending = !clean_journal();
      if (pending) ASSERT_TRUE(recover_now(ops_).has_value());
      const Tree tree = folder_.tree();
      if (changes) {
        EXPECT_EQ(tree, new_tree_) << failed_call << " " << at;
      } else {
        EXPECT_EQ(tree, old_tree_) << failed_call << " " << at << ": " << changes.error().message;
        EXPECT_FALSE(changes.error().message.empty());
      }
      reset();
    }
}

TEST_P(PatchAtomic, WhenEverythingFailsFromOnePointOnRecoveryStillDecides) {
  const size_t n_calls = count_calls();
  for (size_t at = 0; at < n_calls; ++at) {
    size_t n = 0;
    ops_.before = [&](const char*) { return n++ >= at ? EIO : 0; };
    const auto changes = apply(ops_);
    ops_.before = [](const char*) { return 0; };
    expect_no_half_file();
    ASSERT_TRUE(recover_now().has_value()) << at;
    const Tree tree = folder_.tree();
    ASSERT_TRUE(tree == old_tree_ || tree == new_tree_) << at;
    if (changes) EXPECT_EQ(tree, new_tree_) << at;
    reset();
  }
}

TEST_P(PatchAtomic, ShortWritesAndInterruptsAreNoErrors) {
  ops_.max_write = 1;
  size_t n = 0;
  ops_.before = [&n](const char* call) {
    const std::string_view name = call;
    return (name == "write" || name == "read") && n++ % 2 == 0 ? EINTR : 0;
  };
  ASSERT_TRUE(apply(ops_).has_value());
  EXPECT_EQ(folder_.tree(), new_tree_);
}

INSTANTIATE_TEST_SUITE_P(FileSystems, PatchAtomic, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "without_exchange" : "with_exchange"; });

class Interrupted : public PatchAtomic {};

// Stops the edit between two of its switches; then somebody edits on.
TEST_P(Interrupted, NobodysLaterWorkIsOverwritten) {
  for (const char* name : {"changed", "dir/replaced", "deleted", "from"}) {
    size_t renames = 0;
    const pid_t pid = ::fork();
    if (pid == 0) {
      // The journal is renamed twice, then each file once or more: this is in the middle of the files.
      ops_.before = [&](const char* call) {
        if (std::string_view(call) == "rename" && renames++ == 4) ::kill(::getpid(), SIGKILL);
        return 0;
      };
      (void)apply(ops_);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
    folder_.write(name, "mine\n");
    const auto workspace = Workspace::open(folder_.path());
    EXPECT_TRUE(needs_recovery(*workspace, journal()).value());
    const auto refused = apply_patch(*workspace, std::string_view(kPatch),
                                     ApplyOptions{.check = true, .journal_folder = journal()});
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("interrupted"), std::string::npos);
    const auto recovery = recover_now();
    ASSERT_TRUE(recovery.has_value()) << recovery.error().message;
    EXPECT_EQ(folder_.read(name), "mine\n");
    EXPECT_FALSE(needs_recovery(*workspace, journal()).value());
    if (recovery->outcome == Recovery::Outcome::kUndone) {
      Tree tree = folder_.tree(), wanted = old_tree_;
      tree.erase(name);
      wanted.erase(name);
      std::erase_if(tree,
                    [](const auto& entry) { return entry.first.find(".atelier-") != std::string::npos; });
      EXPECT_EQ(tree, wanted) << name;
    }
    reset();
  }
}

INSTANTIATE_TEST_SUITE_P(FileSystems, Interrupted, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "without_exchange" : "with_exchange"; });

// What must be on disk before what, for a machine that loses power: tracked by who was written and synced.
TEST(PatchDurability, SyncsBeforeItPromises) {
  class Order : public FileOps {
   public:
    size_t n_promises = 0;
    std::vector<std::string> violations;
    int open(int folder, const char* name, int flags, mode_t mode) override {
      const int fd = FileOps::open(folder, name, flags, mode);
      if (fd >= 0 && (flags & O_CREAT) != 0) dirty_.insert(inode(folder));
      return fd;
    }
    ssize_t write(int fd, const void* bytes, size_t n) override {
      dirty_.insert(inode(fd));
      return FileOps::write(fd, bytes, n);
    }
    int fchmod(int fd, mode_t mode) override {
      dirty_.insert(inode(fd));
      return FileOps::fchmod(fd, mode);
    }
    int mkdir(int folder, const char* name, mode_t mode) override {
      dirty_.insert(inode(folder));
      return FileOps::mkdir(folder, name, mode);
    }
    int fsync(int fd) override {
      dirty_.erase(inode(fd));
      return FileOps::fsync(fd);
    }
    int rename(int from, const char* old_name, int to, const char* new_name, unsigned flags) override {
      const bool promise = std::string_view(new_name).ends_with(".json");
      // The journal's own folder is synced after the rename.
      if (promise && ++n_promises == 2)
        for (const ino_t file : dirty_)
          if (file != inode(from)) violations.push_back("not synced before the journal was ready");
      dirty_.insert(inode(to));
      return FileOps::rename(from, old_name, to, new_name, flags);
    }
    int unlink(int folder, const char* name, int flags) override {
      if (std::string_view(name).starts_with(".atelier-") && dirty_.contains(inode(folder)))
        violations.push_back("old file removed before the new name was synced");
      return FileOps::unlink(folder, name, flags);
    }

   private:
    static ino_t inode(int fd) {
      struct stat info{};
      return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
    }
    std::set<ino_t> dirty_;
  } order;
  ScratchFolder folder, state;
  write_files(folder);
  const auto workspace = Workspace::open(folder.path(), order);
  const auto changes =
      apply_patch(*workspace, std::string_view(kPatch), ApplyOptions{.journal_folder = state / "edits"});
  ASSERT_TRUE(changes.has_value()) << changes.error().message;
  EXPECT_EQ(order.n_promises, 2u);
  EXPECT_EQ(order.violations, std::vector<std::string>());
}

TEST(PatchJournal, ForeignContentIsRefusedNotObeyed) {
  ScratchFolder folder, state;
  write_files(folder);
  const auto workspace = Workspace::open(folder.path());
  const JournalFile file(state.path(), *workspace);
  for (const char* text : {"", "{}", "[]", "{\"version\":2}", "{\"version\":1,\"root\":3}", "nonsense"}) {
    std::ofstream(file.path(), std::ios::trunc) << text;
    const auto recovery = recover(*workspace, state.path());
    ASSERT_FALSE(recovery.has_value()) << text;
    EXPECT_EQ(recovery.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(recovery.error().message.find(file.path().string()), std::string::npos);
  }
}

// A journal cannot make recovery leave the workspace, follow links or remove what is not the edit's.
TEST(PatchJournal, RecoveryStaysInside) {
  ScratchFolder folder, state, outside;
  write_files(folder);
  outside.write("victim", "v\n");
  std::filesystem::create_directory_symlink(outside.path(), folder / "link");
  const Tree before = folder.tree();
  const auto workspace = Workspace::open(folder.path());
  const JournalFile file(state.path(), *workspace);
  Journal journal;
  journal.entries = {{"link/x", "victim", "victim", {}, {}}, {"../x", "victim", "victim", {}, {}}};
  journal.folders = {"link"};
  ASSERT_TRUE(file.store(journal).has_value());
  (void)recover(*workspace, state.path());
  EXPECT_EQ(folder.tree(), before);
  EXPECT_EQ(outside.tree(), (Tree{{"victim", "420 v\n"}}));
}

TEST(PatchLock, TwoProcessesTakeTurns) {
  ScratchFolder folder, state;
  folder.write("counter", "0\n");
  constexpr int kProcesses = 4, kEach = 8;
  std::vector<pid_t> children;
  for (int child = 0; child < kProcesses; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int done = 0;
      for (int attempt = 0; done < kEach && attempt < 2000; ++attempt) {
        const auto workspace = Workspace::open(folder.path());
        const auto content = workspace->read("counter", 100);
        const int value = std::atoi(content->bytes.c_str());
        const FileChange change{"counter",
                                FileVersion{content->bytes, {}},
                                FileVersion{std::to_string(value + 1) + "\n", {}},
                                {},
                                {}};
        if (commit_changes(*workspace, std::span(&change, 1), state.path())) ++done;
      }
      ::_exit(done == kEach ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(folder.read("counter"), std::to_string(kProcesses * kEach) + "\n");  // no update was lost
}

}  // namespace
}  // namespace atelier::agent
