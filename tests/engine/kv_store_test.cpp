// Keys and values on disk: the same bits come back, or nothing does.
#include "engine/kv_store.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace atelier {
namespace {

namespace fs = std::filesystem;

class KvStoreTest : public ::testing::TestWithParam<const char*> {
 protected:
  KvStoreTest() : folder_(fs::path(::testing::TempDir()) / fmt::format("kv_store_{}", ::getpid())) {
    fs::remove_all(folder_);
    engine_ = load();
  }
  ~KvStoreTest() override { fs::remove_all(folder_); }

  static std::unique_ptr<Engine> load() {
    auto engine =
        Engine::load(fs::path(ATELIER_TEST_DATA) / "models" / GetParam(), {.n_threads = 1, .context = 4096});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  KvStore open(Engine& engine, uint64_t max_bytes = uint64_t{1} << 30) const {
    auto store = KvStore::open(engine, {.folder = folder_, .max_bytes = max_bytes});
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  std::vector<TokenId> tokens(size_t n, unsigned seed = 1) const {
    std::mt19937 random(seed);
    std::vector<TokenId> ids(n);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % engine_->info().vocab_size);
    return ids;
  }
  static std::vector<float> evaluate(Engine& engine, KvSequence& sequence, std::span<const TokenId> ids) {
    const Engine::Item item{&sequence, ids, Engine::Logits::kLast};
    const auto logits = engine.evaluate({&item, 1});
    EXPECT_TRUE(logits) << logits.error().message;
    const auto row = logits->row(0);
    return {row.begin(), row.end()};
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) out.push_back(entry.path());
    std::ranges::sort(out);
    return out;
  }

  fs::path folder_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(KvStoreTest, GoesOnWithTheSameBits) {
  const std::vector<TokenId> prompt = tokens(333), more = tokens(40, 2);
  KvSequence sequence = engine_->new_sequence();
  evaluate(*engine_, sequence, prompt);
  open(*engine_).save(sequence, prompt);
  const std::vector<float> expected = evaluate(*engine_, sequence, more);

  const std::unique_ptr<Engine> other = load();
  KvStore store = open(*other);
  std::vector<TokenId> longer = prompt;
  longer.insert(longer.end(), more.begin(), more.end());
  std::optional<KvStore::Found> found = store.load(longer, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->length, 333u);
  EXPECT_EQ(found->sequence.length(), 333u);
  EXPECT_EQ(evaluate(*other, found->sequence, more), expected);
  EXPECT_EQ(found->sequence.length(), 373u);

  EXPECT_TRUE(store.load(prompt, 0));
  EXPECT_FALSE(store.load(prompt, 333));
  longer[100] ^= 1;  // another conversation, from here on
  found = store.load(longer, 0);
  EXPECT_TRUE(!found || found->length <= 64) << found->length;
}

TEST_P(KvStoreTest, SharedBeginningsAreKeptOnce) {
  std::vector<TokenId> prompt = tokens(320);
  KvSequence sequence = engine_->new_sequence();
  evaluate(*engine_, sequence, prompt);
  KvStore store = open(*engine_);
  store.save(sequence, prompt);
  store.wait();
  const size_t n_files = files().size();
  store.save(sequence, prompt);
  store.wait();
  EXPECT_EQ(files().size(), n_files);
  const std::vector<TokenId> more = tokens(64, 3);
  evaluate(*engine_, sequence, more);
  prompt.insert(prompt.end(), more.begin(), more.end());
  store.save(sequence, prompt);
  store.wait();
  EXPECT_EQ(files().size(), n_files + 2);  // one page and one tail
}

TEST_P(KvStoreTest, ADamagedFileIsAsIfItWereNotThere) {
  const std::vector<TokenId> prompt = tokens(200);
  KvSequence sequence = engine_->new_sequence();
  evaluate(*engine_, sequence, prompt);
  KvStore store = open(*engine_);
  const auto fresh = [&] {
    fs::remove_all(store.folder());
    fs::create_directories(store.folder());
    store.save(sequence, prompt);
    store.wait();
    return files();
  };
  const size_t n_files = fresh().size();
  const std::unique_ptr<Engine> other = load();
  KvStore reader = open(*other);
  for (size_t i = 0; i < n_files; ++i)
    for (const int damage : {0, 1, 2, 3, 4}) {
      const fs::path file = fresh()[i];
      ASSERT_TRUE(reader.load(prompt, 199));
      const auto size = fs::file_size(file);
      if (damage == 0) fs::remove(file);
      if (damage == 1) fs::resize_file(file, size / 2);
      if (damage == 2) fs::resize_file(file, size + 32);
      if (damage == 3) fs::resize_file(file, 3);
      if (damage == 4) {
        std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
        bytes.seekp(static_cast<std::streamoff>(size - 7));
        bytes.put(static_cast<char>(0x5a));
      }
      EXPECT_FALSE(reader.load(prompt, 199)) << file << " " << damage;
    }
}

TEST_P(KvStoreTest, StaysWithinItsBound) {
  const auto keep = [&](KvStore& store, unsigned seed) {
    const std::vector<TokenId> prompt = tokens(256, seed);
    KvSequence sequence = engine_->new_sequence();
    evaluate(*engine_, sequence, prompt);
    store.save(sequence, prompt);
    store.wait();
    return prompt;
  };
  const auto total = [&] {
    uint64_t bytes = 0;
    for (const fs::path& file : files()) bytes += fs::file_size(file);
    return bytes;
  };
  KvStore wide = open(*engine_);
  const std::vector<TokenId> first = keep(wide, 1);
  const uint64_t bound = 3 * total();
  KvStore store = open(*engine_, bound);
  const std::vector<TokenId> second = keep(store, 2);
  for (const unsigned seed : {3u, 4u}) {
    EXPECT_TRUE(store.load(first, 255)) << seed;  // used, and so never the oldest
    const std::vector<TokenId> last = keep(store, seed);
    EXPECT_TRUE(store.load(last, 255)) << seed;
    EXPECT_LE(total(), bound);
  }
  EXPECT_TRUE(store.load(first, 255));
  EXPECT_FALSE(store.load(second, 255));
}

INSTANTIATE_TEST_SUITE_P(Models, KvStoreTest,
                         ::testing::Values("gpt-oss-hf", "llama-bf16-tied-llama3-rope", "gemma3-hf"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '_'; });
                           return name;
                         });

// An interlude that has enough ends the pass, and the sequence can go on as if nothing had been asked.
TEST(Engine, APassCanBeAbandoned) {
  auto engine =
      Engine::load(fs::path(ATELIER_TEST_DATA) / "models/gpt-oss-hf", {.n_threads = 1, .context = 4096});
  ASSERT_TRUE(engine) << engine.error().message;
  const std::vector<TokenId> ids(100, 7);
  const auto run = [&](KvSequence& sequence, const Interlude& interlude) {
    const Engine::Item item{&sequence, ids, Engine::Logits::kLast};
    auto logits = (*engine)->evaluate({&item, 1}, interlude);
    std::vector<float> row;
    if (logits) row.assign(logits->row(0).begin(), logits->row(0).end());
    return std::pair(logits ? ErrorCode::kIo : logits.error().code, row);
  };
  KvSequence expected = (*engine)->new_sequence(), abandoned = (*engine)->new_sequence();
  const std::vector<float> logits = run(expected, {}).second;
  for (int after = 0; after < 2; ++after) {
    int layers = 0;
    EXPECT_EQ(run(abandoned,
                  [&](PassPart) {
                    if (layers++ == after) throw PassAbandoned();
                  })
                  .first,
              ErrorCode::kInterrupted);
    EXPECT_EQ(abandoned.length(), 0u);
  }
  EXPECT_EQ(run(abandoned, [](PassPart) {}).second, logits);
}

}  // namespace
}  // namespace atelier
