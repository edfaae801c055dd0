// What is guessed of the tokens to come, and how much of it is worth evaluating.
#include "engine/drafter.h"

#include <gtest/gtest.h>

#include "engine/draft_plan.h"

namespace atelier {
namespace {

using Ids = std::vector<TokenId>;

Ids guess(const Drafter& drafter, size_t n) {
  const auto found = drafter.guess(n);
  return {found.begin(), found.end()};
}

// Tokens that do not repeat.
Ids run(TokenId first, size_t n) {
  Ids ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(first + static_cast<TokenId>(i));
  return ids;
}

TEST(Drafter, GuessesWhatFollowedLastTime) {
  Drafter drafter;
  drafter.read(Ids{1, 2, 3, 4, 9, 2, 3, 5, 6, 7});
  EXPECT_EQ(guess(drafter, 4), Ids{});  // 6 7 is new
  drafter.append(2);
  EXPECT_EQ(guess(drafter, 4), Ids{});  // one token says nothing
  drafter.append(3);
  EXPECT_EQ(guess(drafter, 4), (Ids{5, 6, 7, 2}));  // the latest place
  EXPECT_EQ(guess(drafter, 2), (Ids{5, 6}));
  drafter.append(4);  // not the latest, but it is known after 2 3
  EXPECT_EQ(guess(drafter, 3), (Ids{9, 2, 3}));
}

TEST(Drafter, PrefersThePlaceWithMoreInCommon) {
  Drafter drafter;
  drafter.read(Ids{1, 2, 3, 4, 0, 8, 3, 4, 7, 0, 0, 2, 3, 4});
  EXPECT_EQ(guess(drafter, 1), Ids{0});  // after 2 3 4, though 3 4 7 is later
}

// A text said again with tokens changed, left out and put in: behind each change the old text is found again.
TEST(Drafter, ReturnsBehindAChange) {
  Drafter drafter;
  const Ids text = run(100, 400);
  drafter.read(text);
  Ids edited(text.begin(), text.begin() + 50);
  for (const TokenId id : {7, 8, 9}) edited.push_back(id);  // put in
  edited.insert(edited.end(), text.begin() + 50, text.begin() + 120);
  edited.insert(edited.end(), text.begin() + 160, text.begin() + 220);  // left out
  for (const TokenId id : {9, 9, 9, 9, 9}) edited.push_back(id);        // changed
  edited.insert(edited.end(), text.begin() + 225, text.end());
  size_t right = 0, wrong = 0, none = 0;
  for (const TokenId id : edited) {
    const Ids guessed = guess(drafter, 1);
    ++(guessed.empty() ? none : guessed[0] == id ? right : wrong);
    drafter.append(id);
  }
  EXPECT_EQ(right + wrong + none, edited.size());
  EXPECT_LE(wrong, 6u);
  EXPECT_LE(none, 16u);
}

// Where the changed line ends as many lines do, the place near the one that was left is taken.
TEST(Drafter, ReturnsNearbyRatherThanToAnEqualPlace) {
  Drafter drafter;
  Ids text;
  for (TokenId line = 0; line < 40; ++line) {
    for (const TokenId id : {1000 + line, 2000 + line, 3000 + line, 5, 6}) text.push_back(id);
  }
  drafter.read(text);
  for (size_t i = 0; i < 50; ++i) drafter.append(text[i]);  // ten lines
  for (const TokenId id : {1, 2, 3, 5, 6}) drafter.append(id);
  EXPECT_EQ(guess(drafter, 1), Ids{1011});
}

TEST(Drafter, TakesTokensBack) {
  Drafter drafter, other;
  const Ids text = {1, 2, 3, 1, 2, 4, 1, 2};
  drafter.read(text);
  const Ids more = run(50, 3000);  // enough to make the table grow
  drafter.read(more);
  drafter.truncate(text.size());
  other.read(text);
  EXPECT_EQ(drafter.size(), text.size());
  EXPECT_EQ(guess(drafter, 8), guess(other, 8));
  EXPECT_EQ(guess(drafter, 1), Ids{4});
  drafter.truncate(3);
  for (const TokenId id : {1, 2}) drafter.append(id);
  EXPECT_EQ(guess(drafter, 2), (Ids{3, 1}));
}

TEST(Drafter, KnowsACorpusAndStopsAtItsEnd) {
  Drafter drafter(Ids{10, 11, 12, 13});
  drafter.read(Ids{1, 10, 11});
  EXPECT_EQ(guess(drafter, 9), (Ids{12, 13}));
  drafter.append(12);
  drafter.append(13);
  EXPECT_EQ(guess(drafter, 9), Ids{});
  EXPECT_EQ(drafter.size(), 5u);
}

TEST(Drafter, LearnsHowOftenItIsRight) {
  Drafter good, bad;
  for (int i = 0; i < 60; ++i) good.append(static_cast<TokenId>(i % 6));
  EXPECT_GT(good.confidence(0), 0.9);
  // After 1 2 always something else.
  for (TokenId i = 0; i < 60; ++i)
    for (const TokenId id : {1, 2, 100 + i}) bad.append(id);
  for (const TokenId id : {1, 2}) bad.append(id);
  ASSERT_FALSE(bad.guess(1).empty());
  EXPECT_LT(bad.confidence(0), 0.1);
}

Drafter repeating(size_t n) {
  Drafter drafter;
  for (size_t i = 0; i < n; ++i) drafter.append(static_cast<TokenId>(i % 40));
  return drafter;
}

std::vector<size_t> plan(const std::vector<const Drafter*>& drafters, std::optional<double> row_cost,
                         size_t limit = 100, DraftOptions options = {}) {
  options.row_cost = row_cost;
  const std::vector<size_t> limits(drafters.size(), limit);
  return plan_drafts(drafters, limits, PassCost(row_cost), options);
}

TEST(DraftPlan, TakesWhatPays) {
  const Drafter sure = repeating(200);
  Drafter unsure;
  for (TokenId i = 0; i < 60; ++i)
    for (const TokenId id : {1, 2, i % 3 == 0 ? 3 : 100 + i}) unsure.append(id);
  for (const TokenId id : {1, 2}) unsure.append(id);
  const double p = unsure.confidence(0);
  ASSERT_GT(p, 0.1);
  ASSERT_LT(p, 0.5);
  EXPECT_EQ(plan({&sure}, 0.1)[0], DraftOptions().max_tokens);
  EXPECT_EQ(plan({&sure}, 1.0)[0], 0u);    // a second row costs what a second pass does
  EXPECT_EQ(plan({&unsure}, 0.6)[0], 0u);  // more than it is expected to bring
  EXPECT_GE(plan({&unsure}, 0.02)[0], 1u);
  EXPECT_EQ(plan({&sure}, 0.1, 3)[0], 3u);
  EXPECT_EQ(plan({&sure}, 0.1, 100, {.enabled = false})[0], 0u);
  EXPECT_EQ(plan({nullptr, &sure}, 0.1)[0], 0u);
  const Drafter empty;
  EXPECT_EQ(plan({&empty}, 0.0)[0], 0u);
}

TEST(DraftPlan, SharesTheRowsOfAPass) {
  const Drafter sure = repeating(200);
  const std::vector<const Drafter*> many(10, &sure);
  size_t rows = many.size();
  for (const size_t n : plan(many, 0.01, 100, {.max_rows = 32})) {
    EXPECT_GE(n, 2u);
    rows += n;
  }
  EXPECT_EQ(rows, 32u);
}

TEST(PassCost, LearnsALineFromPasses) {
  PassCost cost;
  EXPECT_FALSE(cost.known());
  for (int i = 0; i < 50; ++i) cost.passed(1, 0.010);
  EXPECT_NEAR(cost.seconds(1), 0.010, 1e-6);
  EXPECT_GT(cost.seconds_per_row(), 0);  // assumed
  for (int i = 0; i < 300; ++i) {
    const size_t rows = 1 + static_cast<size_t>(i) % 8;
    cost.passed(rows, 0.009 + 0.002 * static_cast<double>(rows));
  }
  EXPECT_NEAR(cost.seconds_per_row(), 0.002, 2e-4);
  EXPECT_NEAR(cost.seconds(10), 0.029, 1e-3);
}

}  // namespace
}  // namespace atelier
