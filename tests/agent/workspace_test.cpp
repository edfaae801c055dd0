// Names become files only below the root, by both ways of resolving them.
#include "agent/workspace/workspace.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "agent/workspace/quote.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

class WorkspaceTest : public ::testing::TestWithParam<Resolver> {
 protected:
  Workspace open() {
    auto workspace = Workspace::open(folder_ / "w");
    EXPECT_TRUE(workspace.has_value());
    workspace->set_resolver(GetParam());
    return std::move(*workspace);
  }
  void SetUp() override {
    folder_.write("w/a/b/file", "inside");
    folder_.write("outside/secret", "outside");
    namespace fs = std::filesystem;
    fs::create_symlink(folder_ / "outside", folder_ / "w/out");
    fs::create_symlink("../outside/secret", folder_ / "w/secret");
    fs::create_symlink("a/b", folder_ / "w/in");
    fs::create_symlink("file", folder_ / "w/a/b/link");
    fs::create_symlink("loop", folder_ / "w/loop");
    fs::create_symlink("/", folder_ / "w/root");
    ASSERT_EQ(::mkfifo((folder_ / "w/fifo").c_str(), 0600), 0);
  }
  ScratchFolder folder_;
};

TEST_P(WorkspaceTest, ReadsWhatIsInside) {
  const Workspace workspace = open();
  EXPECT_EQ(workspace.read("a/b/file", 100)->bytes, "inside");
  EXPECT_EQ(workspace.read("a/b/file", 5).error().code, ErrorCode::kLimit);
  EXPECT_EQ(workspace.read("a/b/none", 100).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(workspace.read("none/file", 100).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(workspace.read("a/b", 100).error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(workspace.read("a/b/file/x", 100).error().message.find("a file stands where a folder should"),
            std::string::npos);
  EXPECT_NE(workspace.read("fifo", 100).error().message.find("FIFO"),
            std::string::npos);  // and does not wait
}

TEST_P(WorkspaceTest, FollowsNoLinkAnywhere) {
  const Workspace workspace = open();
  for (const char* name :
       {"out", "out/secret", "secret", "in/file", "a/b/link", "loop", "loop/x", "root/etc/passwd"})
    for (const int flags : {O_RDONLY, O_WRONLY, O_PATH, O_RDONLY | O_DIRECTORY, O_WRONLY | O_CREAT}) {
      const auto fd = workspace.open_path(name, flags, 0600);
      ASSERT_FALSE(fd.has_value()) << name << " " << flags;
      EXPECT_EQ(fd.error().code, ErrorCode::kInvalidArgument) << name << ": " << fd.error().message;
      EXPECT_NE(fd.error().message.find("symbolic link"), std::string::npos) << fd.error().message;
    }
  EXPECT_EQ(folder_.read("outside/secret"), "outside");
}

TEST_P(WorkspaceTest, CreatesOnlyInside) {
  const Workspace workspace = open();
  EXPECT_TRUE(workspace.open_path("a/new", O_WRONLY | O_CREAT | O_EXCL, 0640).has_value());
  EXPECT_TRUE(folder_.exists("w/a/new"));
  EXPECT_FALSE(workspace.open_path("out/new", O_WRONLY | O_CREAT | O_EXCL, 0640).has_value());
  EXPECT_FALSE(folder_.exists("outside/new"));
}

INSTANTIATE_TEST_SUITE_P(Resolvers, WorkspaceTest, ::testing::Values(Resolver::kKernel, Resolver::kWalk),
                         [](const auto& info) {
                           return info.param == Resolver::kKernel ? "kernel" : "walk";
                         });

TEST(Workspace, NamesAreMadeRelativeOrRefused) {
  ScratchFolder folder;
  std::filesystem::create_directories(folder / "w/sub");
  std::filesystem::create_directory_symlink(folder / "w", folder / "link");
  const auto workspace = Workspace::open(folder / "link");
  ASSERT_TRUE(workspace.has_value());
  EXPECT_EQ(workspace->root(), folder / "w");
  const auto ok = [&](const std::string& name, const std::string& in = {}) {
    return workspace->relative(name, in).value_or("REFUSED");
  };
  EXPECT_EQ(ok("a"), "a");
  EXPECT_EQ(ok("./a//b/./c"), "a/b/c");
  EXPECT_EQ(ok("a/../b"), "b");
  EXPECT_EQ(ok("..", "x"), "REFUSED");  // root() itself is no file
  EXPECT_EQ(ok("../b", "x"), "b");
  EXPECT_EQ(ok("b", "x/y"), "x/y/b");
  EXPECT_EQ(ok((folder / "w/a").string()), "a");
  EXPECT_EQ(ok((folder / "link/a").string(), "x"), "a");  // as the caller called it
  EXPECT_EQ(ok("a b\xc3\xa9"), "a b\xc3\xa9");
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("/"), std::string("../w/a"), std::string("a/../../w/a"),
        std::string("/etc/passwd"), (folder / "wx").string(), (folder / "w/../x").string(), std::string("a/"),
        std::string("a\nb"), std::string("a\0b", 3), std::string("\xff"), std::string("a\x1b[31m"),
        std::string(5000, 'a')})
    EXPECT_FALSE(workspace->relative(bad).has_value()) << in_quotes(bad);
  EXPECT_EQ(workspace->relative_folder("."), "");
  EXPECT_EQ(workspace->relative_folder("sub/"), "sub");
  EXPECT_FALSE(workspace->relative_folder("..").has_value());
}

TEST(Workspace, TheRootMustBeAFolder) {
  ScratchFolder folder;
  folder.write("file", "");
  EXPECT_EQ(Workspace::open(folder / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Workspace::open(folder / "file").error().code, ErrorCode::kInvalidArgument);
}

TEST(Workspace, AKernelWithoutTheCallIsWalked) {
  class OldKernel : public FileOps {
    int open_beneath(int, const char*, int, mode_t) override {
      errno = ENOSYS;
      return -1;
    }
  } old_kernel;
  ScratchFolder folder;
  folder.write("a/b", "x");
  const auto workspace = Workspace::open(folder.path(), old_kernel);
  ASSERT_TRUE(workspace.has_value());
  EXPECT_EQ(workspace->resolver(), Resolver::kWalk);
  EXPECT_EQ(workspace->read("a/b", 10)->bytes, "x");
}

}  // namespace
}  // namespace atelier::agent
