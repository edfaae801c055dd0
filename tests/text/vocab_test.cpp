#include "text/vocab.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace atelier {
namespace {

TEST(StringTable, HoldsStringsOfEveryLength) {
  StringTable table;
  std::map<std::string, TokenId> expected;
  std::mt19937 random(3);
  for (TokenId id = 0; id < 20'000; ++id) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 3);  // zeros and near misses
    ASSERT_TRUE(table.insert(bytes, id));
    expected[bytes] = id;  // the later id counts
  }
  EXPECT_EQ(table.size(), expected.size());
  for (const auto& [bytes, id] : expected) ASSERT_EQ(table.find(bytes), id);
  size_t visited = 0;
  table.for_each([&](std::string_view bytes, TokenId id) {
    ++visited;
    ASSERT_EQ(expected.at(std::string(bytes)), id);
  });
  EXPECT_EQ(visited, expected.size());
  for (size_t length = 0; length < 60; ++length) {
    const std::string absent(length, '\7');
    EXPECT_EQ(table.find(absent), length == 0 && expected.contains("") ? expected[""] : kNoToken);
  }
}

TEST(StringTable, TellsZeroBytesFromLength) {
  StringTable table;
  ASSERT_TRUE(table.insert(std::string_view("\0", 1), 1));
  EXPECT_EQ(table.find(""), kNoToken);
  EXPECT_EQ(table.find(std::string_view("\0\0", 2)), kNoToken);
  ASSERT_TRUE(table.insert("", 0));
  EXPECT_EQ(table.find(""), 0);
  EXPECT_EQ(table.find(std::string_view("\0", 1)), 1);
}

TEST(TokenTexts, KeepsTextsById) {
  TokenTexts texts;
  texts.set(5, "five");
  texts.set(2, "");
  EXPECT_EQ(texts.size(), 6u);
  EXPECT_EQ(texts[5], "five");
  EXPECT_TRUE(texts.contains(2));
  for (const TokenId absent : {-1, 0, 3, 6, 1 << 30}) {
    EXPECT_FALSE(texts.contains(absent));
    EXPECT_EQ(texts[absent], "");
  }
  texts.set(5, "other");
  EXPECT_EQ(texts[5], "other");
}

}  // namespace
}  // namespace atelier
