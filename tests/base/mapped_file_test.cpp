// Mapped files that change underneath, and drafts that become files or nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/file.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "atelier-map-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path file(std::string_view name, size_t bytes, char with = 'x') {
    std::ofstream(folder_ / name, std::ios::binary) << std::string(bytes, with);
    return folder_ / name;
  }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_;
};

size_t count(std::span<const std::byte> bytes, char wanted) {
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), static_cast<std::byte>(wanted)));
}

constexpr size_t kBytes = 64 * 4096 + 100;

TEST_F(MappedFileTest, AnUntouchedFileIsHealthy) {
  const Result<MappedFile> mapped = MappedFile::open(file("a", kBytes));
  ASSERT_TRUE(mapped);
  EXPECT_EQ(count(mapped->bytes(), 'x'), kBytes);
  EXPECT_TRUE(mapped->healthy());
  EXPECT_TRUE(mapped->check());
  mapped->prefetch(mapped->bytes().subspan(5000, 20000));
  mapped->prefetch({});
}

TEST_F(MappedFileTest, TruncationReadsAsZerosAndIsNoticed) {
  const fs::path path = file("a", kBytes);
  Result<MappedFile> mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped);
  fs::resize_file(path, 10 * 4096);
  EXPECT_TRUE(mapped->healthy());  // nobody has touched what is gone
  ASSERT_FALSE(mapped->check());
  EXPECT_EQ(mapped->check().error().code, ErrorCode::kIo);
  EXPECT_LE(count(mapped->bytes(), 'x'), 10u * 4096);
  EXPECT_FALSE(mapped->healthy());
  EXPECT_EQ(count(mapped->bytes(), '\0'), kBytes);
  MappedFile moved = std::move(*mapped);
  EXPECT_FALSE(moved.healthy());
  ASSERT_FALSE(moved.check());
  EXPECT_NE(moved.check().error().message.find("truncated"), std::string::npos);
}

TEST_F(MappedFileTest, OneFailedMappingLeavesTheOthersAlone) {
  const fs::path first = file("a", kBytes), second = file("b", kBytes, 'y');
  const Result<MappedFile> a = MappedFile::open(first), b = MappedFile::open(second),
                           again = MappedFile::open(first);
  ASSERT_TRUE(a && b && again);
  fs::resize_file(first, 0);
  EXPECT_EQ(count(a->bytes(), 'x'), 0u);
  EXPECT_FALSE(a->healthy());
  EXPECT_TRUE(again->healthy());
  EXPECT_EQ(count(again->bytes(), 'x'), 0u);
  EXPECT_FALSE(again->healthy());
  EXPECT_EQ(count(b->bytes(), 'y'), kBytes);
  EXPECT_TRUE(b->healthy());
  EXPECT_TRUE(b->check());
}

TEST_F(MappedFileTest, ManyThreadsMayHitTheGapAtOnce) {
  for (int round = 0; round < 20; ++round) {
    const fs::path path = file("a", kBytes);
    const Result<MappedFile> mapped = MappedFile::open(path);
    ASSERT_TRUE(mapped);
    fs::resize_file(path, 0);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back([&] { EXPECT_EQ(count(mapped->bytes(), 'x'), 0u); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(mapped->healthy());
  }
}

TEST_F(MappedFileTest, OverwritingRemovingAndReplacingAreNoticed) {
  const fs::path path = file("a", kBytes);
  Result<MappedFile> mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped);
  {
    std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
    out << "z";
  }
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(2));  // past the clock's grain
  ASSERT_FALSE(mapped->check());
  EXPECT_NE(mapped->check().error().message.find("written to"), std::string::npos);

  mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped && mapped->check());
  fs::rename(file("b", kBytes, 'y'), path);
  ASSERT_FALSE(mapped->check());
  EXPECT_NE(mapped->check().error().message.find("removed or replaced"), std::string::npos);
  EXPECT_EQ(count(mapped->bytes(), 'x'), kBytes - 1);  // the old content, all of it
  EXPECT_TRUE(mapped->healthy());

  mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped && mapped->check());
  fs::remove(path);
  EXPECT_FALSE(mapped->check());
  EXPECT_EQ(count(mapped->bytes(), 'y'), kBytes);
}

TEST_F(MappedFileTest, SlotsAreGivenBack) {
  const fs::path path = file("a", 100);
  for (size_t i = 0; i < MapGuard::kMaxMappings + 100; ++i) ASSERT_TRUE(MappedFile::open(path));
}

// A SIGBUS that is not ours still ends the process as it did before.
TEST_F(MappedFileTest, ForeignSigbusIsNotSwallowed) {
  const fs::path path = file("a", 2 * 4096);
  ASSERT_TRUE(MappedFile::open(path));  // the handler is in place
  constexpr int kSurvived = 77;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Result<OpenedFile> opened = open_regular(path);
    void* data = ::mmap(nullptr, 2 * 4096, PROT_READ, MAP_SHARED, opened->fd.get(), 0);
    fs::resize_file(path, 0);
    const char byte = static_cast<volatile char*>(data)[4096];
    ::_exit(byte == 0 ? kSurvived : kSurvived + 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  // Sanitizers report the signal and exit.
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) < kSurvived) << status;
}

// A large draft goes to disk in blocks past the page cache; pieces of any size come out in order.
TEST_F(MappedFileTest, LargeDraftKeepsEveryByte) {
  constexpr size_t kExpected = 64 << 20, kWritten = (20 << 20) + 123;
  std::vector<std::byte> content(kWritten);
  uint32_t state = 1;
  for (std::byte& byte : content) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  const std::filesystem::path path = folder_ / "large";
  Result<DraftFile> draft = DraftFile::create(path, kExpected);
  ASSERT_TRUE(draft.has_value());
  for (size_t at = 0, piece = 1; at < kWritten; at += piece, piece = piece * 3 + 1)
    ASSERT_TRUE(draft->write(std::span(content).subspan(at, std::min(piece, kWritten - at))).has_value());
  ASSERT_TRUE(draft->commit().has_value());
  const Result<std::string> read = read_file(path, kExpected);
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->size(), kWritten);
  EXPECT_EQ(std::memcmp(read->data(), content.data(), kWritten), 0);
}

TEST_F(MappedFileTest, DraftsBecomeFilesOnlyWhenCommitted) {
  const fs::path path = folder_ / "a";
  {
    Result<DraftFile> draft = DraftFile::create(path, 1000);
    ASSERT_TRUE(draft);
    ASSERT_TRUE(draft->write("half"));
    EXPECT_EQ(entries(), 1u);
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(entries(), 0u);
  {
    Result<DraftFile> draft = DraftFile::create(path, 1000);
    ASSERT_TRUE(draft);
    DraftFile moved = std::move(*draft);
    ASSERT_TRUE(moved.write("whole"));
    ASSERT_TRUE(moved.write(std::string_view(" file")));
    ASSERT_TRUE(moved.commit());
  }
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(*read_file(path, 100), "whole file");
  EXPECT_EQ(DraftFile::create(folder_ / "absent/a").error().code, ErrorCode::kNotFound);
  fs::create_directory(folder_ / "taken");
  fs::create_directory(folder_ / "taken/inside");
  Result<DraftFile> onto_folder = DraftFile::create(folder_ / "taken");
  ASSERT_TRUE(onto_folder);
  EXPECT_FALSE(onto_folder->commit());
  EXPECT_EQ(entries(), 2u);
}

}  // namespace
}  // namespace atelier
