// An unfinished download on disk: what a later process finds of it.
#include "io/hub/part_file.h"

#include "store_fixture.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;

constexpr uint64_t kChunk = PartFile::kChunkBytes;

std::vector<std::byte> bytes_of(size_t n, int value) {
  return std::vector<std::byte>(n, static_cast<std::byte>(value));
}

class PartFileTest : public ::testing::Test {
 protected:
  TempFolder temp;
  PartFile open(uint64_t bytes = kChunk + 100) const {
    auto file = PartFile::open(temp.path(), "key", bytes);
    EXPECT_TRUE(file) << file.error().message;
    return std::move(*file);
  }
};

TEST_F(PartFileTest, HandsOutEachByteOnce) {
  PartFile file = open();
  EXPECT_FALSE(file.resumed());
  const auto first = file.claim();
  const auto second = file.claim();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(file.claim());
  EXPECT_EQ(first->range, (ByteRange{0, kChunk - 1}));
  EXPECT_EQ(second->range, (ByteRange{kChunk, kChunk + 99}));
  ASSERT_TRUE(file.append(second->chunk, bytes_of(40, 2)));
  file.release(second->chunk);
  const auto rest = file.claim();
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->range, (ByteRange{kChunk + 40, kChunk + 99}));
  ASSERT_TRUE(file.append(rest->chunk, bytes_of(60, 3)));
  EXPECT_TRUE(file.chunk_complete(rest->chunk));
  EXPECT_FALSE(file.complete());
  EXPECT_EQ(file.append(rest->chunk, bytes_of(1, 0)).error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(file.append(first->chunk, bytes_of(kChunk, 1)));
  EXPECT_TRUE(file.complete());
  ASSERT_TRUE(file.sync());
  const std::string content = testing::read(file.path());
  ASSERT_EQ(content.size(), kChunk + 100);
  EXPECT_EQ(content[kChunk - 1], 1);
  EXPECT_EQ(content[kChunk + 39], 2);
  EXPECT_EQ(content.back(), 3);
}

// What was recorded is found again; at most kRecordBytes of a chunk are not.
TEST_F(PartFileTest, GoesOnWhereItStopped) {
  constexpr uint64_t kArrived = 5 * PartFile::kRecordBytes + 1000;
  {
    PartFile file = open();
    const auto claim = file.claim();
    for (uint64_t at = 0; at < kArrived; at += 1000)
      ASSERT_TRUE(file.append(claim->chunk, bytes_of(1000, 7)));
  }
  PartFile file = open();
  EXPECT_TRUE(file.resumed());
  EXPECT_GT(file.done_bytes(), kArrived - PartFile::kRecordBytes - 1000);
  EXPECT_EQ(file.claim()->range.first, file.done_bytes());
}

TEST_F(PartFileTest, AnotherSizeOrADamagedMapBeginsAnew) {
  const auto fill = [this] {
    PartFile file = open();
    const auto claim = file.claim();
    ASSERT_TRUE(file.append(claim->chunk, bytes_of(2 * PartFile::kRecordBytes, 7)));
  };
  const fs::path map = temp / "key.map";
  fill();
  EXPECT_TRUE(open().resumed());
  EXPECT_FALSE(open(kChunk + 101).resumed());
  fs::remove(map);
  fill();
  const std::string good = testing::read(map);
  for (size_t size = 0; size < good.size(); ++size) {
    testing::write(map, good.substr(0, size));
    EXPECT_FALSE(open().resumed()) << size;
  }
  // An entry that claims more than the file or the chunk holds.
  std::string greedy = good;
  greedy.replace(greedy.size() - 8, 4, "\xff\xff\xff\x7f");
  testing::write(map, greedy);
  EXPECT_FALSE(open().resumed());
  // The bytes are gone.
  testing::write(map, good);
  fs::resize_file(temp / "key.part", 10);
  EXPECT_FALSE(open().resumed());
}

// A map of another boot counts only what had been synced: whole chunks.
TEST_F(PartFileTest, AfterACrashOnlySyncedBytesCount) {
  {
    PartFile file = open(2 * kChunk);
    const auto first = file.claim();
    const auto second = file.claim();
    ASSERT_TRUE(file.append(first->chunk, bytes_of(kChunk, 1)));
    ASSERT_TRUE(file.append(second->chunk, bytes_of(3 * PartFile::kRecordBytes, 2)));
  }
  EXPECT_EQ(open(2 * kChunk).done_bytes(), kChunk + 3 * PartFile::kRecordBytes);
  std::string map = testing::read(temp / "key.map");
  map[24] = static_cast<char>(map[24] ^ 1);  // in the boot's name
  testing::write(temp / "key.map", map);
  EXPECT_EQ(open(2 * kChunk).done_bytes(), kChunk);
}

TEST_F(PartFileTest, AStreamForgetsWhatWasThereAndLeavesNothingToResume) {
  {
    PartFile file = open();
    const auto claim = file.claim();
    ASSERT_TRUE(file.append(claim->chunk, bytes_of(2 * PartFile::kRecordBytes, 1)));
    ASSERT_TRUE(file.restart_as_stream());
    const auto whole = file.claim();
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->range, (ByteRange{0, kChunk + 99}));
    ASSERT_TRUE(file.append(whole->chunk, bytes_of(kChunk + 99, 2)));
    EXPECT_FALSE(file.complete());
  }
  EXPECT_FALSE(open().resumed());
}

TEST_F(PartFileTest, AnEmptyFileIsCompleteAtOnce) {
  PartFile file = open(0);
  EXPECT_TRUE(file.complete());
  EXPECT_FALSE(file.claim());
  EXPECT_TRUE(fs::exists(file.path()));
}

TEST_F(PartFileTest, ALinkIsNotFollowed) {
  testing::write(temp / "precious", "data");
  fs::create_symlink(temp / "precious", temp / "key.part");
  EXPECT_FALSE(PartFile::open(temp.path(), "key", 10));
  EXPECT_EQ(testing::read(temp / "precious"), "data");
}

}  // namespace
}  // namespace atelier
