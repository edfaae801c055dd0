#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace atelier {
namespace {

constexpr size_t kWindow = 128;
const KvGeometry kGeometry{.kv_heads = 2, .k_dim = 8, .v_dim = 4};

// Two unbounded layers and two windowed ones, alternating as in gpt-oss.
std::vector<LayerCache> layers() {
  return {{kGeometry, kWindow}, {kGeometry, 0}, {kGeometry, kWindow}, {kGeometry, 0}};
}

constexpr uint64_t kPlenty = uint64_t{1} << 30;

// Stands in for attention: the first bytes of a page say what was last written at each of its positions.
uint8_t& cell(const ops::AttentionSequence& view, size_t position) {
  return reinterpret_cast<uint8_t&>(
      view.pages[position / kKvPageTokens - view.first_page][position % kKvPageTokens]);
}

void write(KvSequence& sequence, size_t n, uint8_t value) {
  ASSERT_TRUE(sequence.reserve(n));
  for (size_t layer = 0; layer < 4; ++layer) {
    const ops::AttentionSequence view = sequence.layer(layer, 0, n);
    ASSERT_EQ(view.first_position, sequence.length());
    for (size_t i = 0; i < n; ++i) cell(view, view.first_position + i) = static_cast<uint8_t>(value + layer);
  }
  sequence.advance(n);
}

uint8_t read(const KvSequence& sequence, size_t layer, size_t position) {
  return cell(sequence.layer(layer, 0, 0), position);
}

TEST(KvCache, LayersAndPositionsDoNotOverlap) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence sequence(pool);
  ASSERT_TRUE(sequence.reserve(200));
  std::set<std::byte*> starts;
  for (size_t layer = 0; layer < 4; ++layer) {
    const ops::AttentionSequence view = sequence.layer(layer, 3, 200);
    EXPECT_EQ(view.first_row, 3u);
    EXPECT_EQ(view.n_rows, 200u);
    ASSERT_EQ(view.pages.size(), 4u);
    for (std::byte* page : view.pages) {
      EXPECT_TRUE(starts.insert(page).second);
      std::memset(page, 1, kGeometry.page_bytes());  // ASan sees a page that is too small
    }
  }
}

TEST(KvCache, AppendingAfterAForkLeavesTheOtherAlone) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence a(pool);
  write(a, 100, 10);
  KvSequence b = a.fork();
  write(a, 10, 20);
  write(b, 10, 30);
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_EQ(read(a, layer, 99), 10 + layer);
    EXPECT_EQ(read(b, layer, 99), 10 + layer);
    EXPECT_EQ(read(a, layer, 105), 20 + layer);
    EXPECT_EQ(read(b, layer, 105), 30 + layer);
  }
}

TEST(KvCache, ForksShareWholePages) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence a(pool);
  write(a, 640, 1);
  const uint64_t before = pool.bytes_in_use();
  KvSequence b = a.fork();
  EXPECT_EQ(pool.bytes_in_use(), before);
  write(b, 1, 2);  // 640 is a page border: a new page in each group, nothing copied
  EXPECT_EQ(pool.bytes_in_use(), before + 4 * kGeometry.page_bytes());
}

TEST(KvCache, WindowsHoldABoundedNumberOfPages) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence sequence(pool);
  for (int i = 0; i < 2000; ++i) write(sequence, 1, 1);
  EXPECT_EQ(sequence.layer(1, 0, 0).pages.size(), 32u);  // unbounded: ceil(2000 / 64)
  EXPECT_LE(sequence.layer(0, 0, 0).pages.size(),
            5u);  // 128 keys touch at most 3 pages, one of slack, one being filled
  EXPECT_TRUE(sequence.can_truncate(1990));
  EXPECT_FALSE(sequence.can_truncate(1000));
}

TEST(KvCache, TruncationForgetsAndAllowsOverwriting) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence sequence(pool);
  write(sequence, 100, 1);
  write(sequence, 20, 2);
  ASSERT_TRUE(sequence.can_truncate(100));
  sequence.truncate(100);
  EXPECT_EQ(sequence.length(), 100u);
  write(sequence, 20, 3);
  EXPECT_EQ(read(sequence, 1, 99), 1 + 1);
  EXPECT_EQ(read(sequence, 1, 119), 3 + 1);
  EXPECT_FALSE(sequence.can_truncate(121));
}

// A kept fork is a checkpoint: it brings back windowed pages that the sequence itself has let go.
TEST(KvCache, AKeptForkRollsBackAcrossWindows) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence sequence(pool);
  write(sequence, 300, 1);
  const KvSequence checkpoint = sequence.fork();
  for (int i = 0; i < 1000; ++i) write(sequence, 1, 2);
  EXPECT_FALSE(sequence.can_truncate(300));
  sequence = checkpoint.fork();
  EXPECT_EQ(sequence.length(), 300u);
  for (size_t position = 300 - kWindow + 1; position < 300; ++position)
    for (size_t layer = 0; layer < 4; ++layer) ASSERT_EQ(read(sequence, layer, position), 1 + layer);
}

TEST(KvCache, PagesComeBack) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  {
    KvSequence a(pool);
    write(a, 500, 1);
    KvSequence b = a.fork();
    write(b, 500, 1);
    KvSequence moved = std::move(a);
    EXPECT_GT(pool.bytes_in_use(), 0u);
  }
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

TEST(KvCache, ExhaustionChangesNothing) {
  KvPool pool(layers(), KvType::kF16, 32 * kGeometry.page_bytes());
  KvSequence sequence(pool);
  write(sequence, 100, 7);
  const uint64_t before = pool.bytes_in_use();
  const Status failed = sequence.reserve(100'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(pool.bytes_in_use(), before);
  EXPECT_EQ(sequence.length(), 100u);
  EXPECT_EQ(read(sequence, 0, 99), 7);
  write(sequence, 10, 8);
  EXPECT_EQ(read(sequence, 0, 109), 8);
}

TEST(KvCache, EstimateMatchesUse) {
  KvPool pool(layers(), KvType::kF16, kPlenty);
  KvSequence sequence(pool);
  write(sequence, 640, 1);
  // The estimate leaves out the page of slack in each of the two windowed layers.
  EXPECT_EQ(pool.sequence_bytes(640) + 2 * kGeometry.page_bytes(), pool.bytes_in_use());
}

}  // namespace
}  // namespace atelier
