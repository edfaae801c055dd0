// Packed weights are kept from run to run, within bounds, and never get in the way.
#include "engine/weight_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/io/store_fixture.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

class WeightCacheTest : public ::testing::Test {
 protected:
  WeightCacheTest() { load(); }
  void load(DenseWeights dense = DenseWeights::kAsPublished) {
    checkpoint_ = std::make_shared<const Checkpoint>(Checkpoint::open(path_).value());
    model_ = load_model(checkpoint_, {.dense = dense}).value();
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(cache_.folder(), none)) found.push_back(entry.path());
    return found;
  }

  TempFolder folder_;
  WeightCache cache_{folder_.path() / "deep" / "packed"};
  fs::path path_ = fs::path(ATELIER_TEST_DATA) / "models" / "gpt-oss-hf";
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
};

TEST_F(WeightCacheTest, KeepsFindsAndClears) {
  EXPECT_FALSE(cache_.find(*checkpoint_, *model_));
  ASSERT_TRUE(cache_.keep(*checkpoint_, *model_, {}));
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(files()[0], cache_.file_of(*checkpoint_, *model_).value());
  const auto bytes = fs::file_size(files()[0]);

  load();
  EXPECT_TRUE(cache_.find(*checkpoint_, *model_));
  for (const Weight* weight : model_->multiplied_weights()) EXPECT_TRUE(weight->is_packed());
  EXPECT_EQ(cache_.clear(), bytes);
  EXPECT_TRUE(files().empty());
}

// The same checkpoint packed in two ways has two files.
TEST_F(WeightCacheTest, TellsFormatsApart) {
  ASSERT_TRUE(cache_.keep(*checkpoint_, *model_, {}));
  load(DenseWeights::kQ8);
  EXPECT_FALSE(cache_.find(*checkpoint_, *model_));
  ASSERT_TRUE(cache_.keep(*checkpoint_, *model_, {}));
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(WeightCacheTest, RemovesWhatIsNotRight) {
  ASSERT_TRUE(cache_.keep(*checkpoint_, *model_, {}));
  fs::resize_file(files()[0], fs::file_size(files()[0]) / 2);
  EXPECT_FALSE(cache_.find(*checkpoint_, *model_));
  EXPECT_TRUE(files().empty());
  for (const Weight* weight : model_->multiplied_weights()) EXPECT_FALSE(weight->is_packed());
}

TEST_F(WeightCacheTest, AFolderThatCannotBeUsedIsAnError) {
  std::ofstream(folder_.path() / "deep") << "a file";
  const Status kept = cache_.keep(*checkpoint_, *model_, {});
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::kIo);
  EXPECT_FALSE(cache_.find(*checkpoint_, *model_));
}

TEST_F(WeightCacheTest, KeepsInTheBackground) {
  {
    BackgroundKeeper keeper(cache_, checkpoint_, *model_);
    ASSERT_TRUE(keeper.wait());
  }
  load();
  EXPECT_TRUE(cache_.find(*checkpoint_, *model_));
}

// One that is ended early has either finished or left nothing.
TEST_F(WeightCacheTest, LeavesNothingHalfDone) {
  for (int i = 0; i < 20; ++i) {
    load();
    {
      BackgroundKeeper keeper(cache_, checkpoint_, *model_);
    }
    const bool whole = cache_.find(*checkpoint_, *model_).has_value();
    EXPECT_EQ(files().size(), whole ? 1u : 0u);
    cache_.clear();
  }
}

}  // namespace
}  // namespace atelier::testing
