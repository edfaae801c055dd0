// What refusing a tokenizer.json costs: files as dense as the format lets them be, wrong only at their very
// end.
#include <gtest/gtest.h>

#include "small_tokenizer.h"
#include "tests/io/hostile_bytes.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

// small_tokenizer() with `more` behind the first member of the list or object called `name`, and its last
// brace missing.
std::string packed(std::string_view name, const std::string& more) {
  std::string text = small_tokenizer().dump();
  const size_t at = text.find_first_of("[{", text.find("\"" + std::string(name) + "\""));
  text.insert(at + 1, more);
  text.pop_back();
  return text;
}

void expect_bounded(const std::string& text, std::string_view what) {
  const testing::RefusalCost cost(text.size());
  const auto tokenizer = parse_tokenizer_json(text, {});
  ASSERT_FALSE(tokenizer);
  testing::expect_typed(tokenizer.error());
  cost.expect_bounded(what);
}

TEST(TokenizerCost, RefusingTakesAtMostFourTimesTheFileAndSixteenMebibytes) {
  std::string vocab, merges, added;
  for (int i = 0; i < 400'000; ++i) vocab += fmt::format(R"("{:x}":{},)", 0x10000 + i, 267 + i);
  for (int i = 0; i < 700'000; ++i) merges += R"("h e",)";
  for (int i = 0; i < 200'000; ++i)
    added += fmt::format(R"({{"id":{},"content":"{:x}"}},)", 300 + i, 0x10000 + i);
  expect_bounded(packed("vocab", vocab), "a tokenizer.json of tokens");
  expect_bounded(packed("merges", merges), "a tokenizer.json of merges");
  expect_bounded(packed("added_tokens", added), "a tokenizer.json of added tokens");
  expect_bounded(packed("vocab", std::string(8'000'000, ' ')), "a tokenizer.json of white space");
  expect_bounded(packed("normalizer", "") + std::string(4'000'000, '['), "a tokenizer.json of brackets");
}

}  // namespace
}  // namespace atelier
