#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "small_tokenizer.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::ordered_json;

std::shared_ptr<const Tokenizer> load(const ordered_json& spec, std::string_view config = {}) {
  auto tokenizer = parse_tokenizer_json(spec.dump(), config);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

ordered_json with_added(std::vector<ordered_json> tokens) {
  ordered_json spec = small_tokenizer();
  for (ordered_json& token : tokens) {
    token["id"] = kSmallEnd + spec["added_tokens"].size();
    spec["added_tokens"].push_back(token);
  }
  return spec;
}

std::string bytes_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer.token_bytes(id);
  return bytes;
}

TEST(Tokenizer, MergesInOrderOfRank) {
  const auto tokenizer = load(small_tokenizer());
  // "hello" = hell + o; the later rule e + ll never gets its turn behind h + e.
  EXPECT_EQ(tokenizer->encode("hello"), Ids{259});
  EXPECT_EQ(tokenizer->encode("ell"), Ids{264});
  EXPECT_EQ(tokenizer->encode("hello world"), (Ids{259, 262, 'l', 'd'}));
  EXPECT_EQ(tokenizer->encode(""), Ids{});
  EXPECT_EQ(tokenizer->encode("é"), (Ids{0xC3, 0xA9}));
  EXPECT_EQ(tokenizer->vocab_size(), static_cast<size_t>(kSmallMarkup) + 1);
}

TEST(Tokenizer, AppendsToTheIdsItIsGiven) {
  const auto tokenizer = load(small_tokenizer());
  Ids ids{1, 2};
  tokenizer->encode("hello", Specials::kAsText, ids);
  EXPECT_EQ(ids, (Ids{1, 2, 259}));
}

// A vocabulary can hold a token that its merges do not lead to.
TEST(Tokenizer, TokensThatMergesDoNotReach) {
  ordered_json spec = small_tokenizer();
  spec["added_tokens"] = ordered_json::array();
  spec["model"]["vocab"]["xyz"] = 300;
  const auto by_merges = load(spec);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(by_merges->encode("xyz"), (Ids{'x', 'y', 'z'}));
  EXPECT_EQ(by_merges->find_token("xyz"), 300);
  spec["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(spec)->encode("xyz"), Ids{300});
}

TEST(Tokenizer, RepeatedPiecesEncodeAlike) {
  const auto tokenizer = load(small_tokenizer());
  const Ids once = tokenizer->encode(" hexello");
  Ids expected;
  std::string text;
  for (int i = 0; i < 500; ++i) {
    text += " hexello";
    expected.insert(expected.end(), once.begin(), once.end());
  }
  EXPECT_EQ(tokenizer->encode(text), expected);
}

TEST(Tokenizer, AnyBytesSurvive) {
  const auto tokenizer = load(small_tokenizer());
  std::mt19937 random(5);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    ASSERT_EQ(bytes_of(*tokenizer, tokenizer->encode(bytes)), bytes);
  }
}

TEST(Tokenizer, SpecialsOnlyOnRequest) {
  const auto tokenizer = load(small_tokenizer());
  const std::string text = "he<|end|>ll<b>";
  EXPECT_EQ(tokenizer->encode(text, Specials::kRecognised), (Ids{257, kSmallEnd, 256, kSmallMarkup}));
  const Ids plain = tokenizer->encode(text, Specials::kAsText);
  for (const TokenId id : plain) EXPECT_LT(id, kSmallEnd);
  EXPECT_EQ(bytes_of(*tokenizer, plain), text);
  EXPECT_TRUE(tokenizer->is_special(kSmallEnd));
  EXPECT_FALSE(tokenizer->is_special(kSmallMarkup));
  EXPECT_FALSE(tokenizer->is_special(0));
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_FALSE(tokenizer->is_special(1 << 30));
  EXPECT_EQ(tokenizer->find_token("<|end|>"), kSmallEnd);
  EXPECT_EQ(tokenizer->find_token("hello"), 259);
  EXPECT_EQ(tokenizer->find_token(" w"), 260);
  EXPECT_FALSE(tokenizer->find_token("nothing"));
}

// A control token that the vocabulary lists too: no text turns into it, even where whole pieces are looked
// up.
TEST(Tokenizer, ControlTokensInTheVocabularyStayOutOfText) {
  ordered_json spec = small_tokenizer();
  spec["model"]["vocab"]["STOP"] = 265;
  spec["model"]["ignore_merges"] = true;
  spec["added_tokens"] = {{{"id", 265}, {"content", "STOP"}, {"special", true}}};
  const auto tokenizer = load(spec);
  EXPECT_EQ(tokenizer->encode("STOP", Specials::kAsText), (Ids{'S', 'T', 'O', 'P'}));
  EXPECT_EQ(tokenizer->encode("STOP", Specials::kRecognised), Ids{265});
  EXPECT_EQ(tokenizer->decode(Ids{265}), "STOP");
}

TEST(Tokenizer, OrdinaryAddedTokensAreText) {
  const auto tokenizer = load(with_added({{{"content", "        "}}, {{"content", "ﬀ"}}}));
  EXPECT_EQ(tokenizer->encode("x        ﬀ", Specials::kAsText), (Ids{'x', kSmallEnd + 2, kSmallEnd + 3}));
}

TEST(Tokenizer, AddedTokensTakeSpaceAndMindWords) {
  const auto tokenizer = load(with_added({{{"content", "<l>"}, {"lstrip", true}},
                                          {{"content", "<r>"}, {"rstrip", true}},
                                          {{"content", "word"}, {"single_word", true}},
                                          {{"content", "<ll>"}}}));
  const TokenId left = kSmallEnd + 2, right = kSmallEnd + 3, word = kSmallEnd + 4, longer = kSmallEnd + 5;
  const auto encode = [&](std::string_view text) { return tokenizer->encode(text, Specials::kRecognised); };
  EXPECT_EQ(encode("x \u3000 <l> y"), (Ids{'x', left, ' ', 'y'}));
  EXPECT_EQ(encode("x <r> \n\ty"), (Ids{'x', ' ', right, 'y'}));
  EXPECT_EQ(encode("<r>  <l>"), (Ids{right, left}));
  EXPECT_EQ(encode("word word-word"), (Ids{word, ' ', word, '-', word}));
  EXPECT_EQ(encode("words"), (Ids{'w', 261, 'd', 's'}));
  EXPECT_EQ(encode("éword"), (Ids{0xC3, 0xA9, 'w', 261, 'd'}));
  EXPECT_EQ(encode("word_"), (Ids{'w', 261, 'd', '_'}));
  EXPECT_EQ(encode("<ll><l"), (Ids{longer, '<', 'l'}));
}

TEST(Tokenizer, AddPrefixSpace) {
  ordered_json spec = small_tokenizer();
  spec["pre_tokenizer"]["add_prefix_space"] = true;
  const auto tokenizer = load(spec);
  EXPECT_EQ(tokenizer->encode("w"), Ids{260});
  EXPECT_EQ(tokenizer->encode(" w"), Ids{260});
  EXPECT_EQ(tokenizer->encode("w<|end|>w", Specials::kRecognised), (Ids{260, kSmallEnd, 260}));
}

TEST(Tokenizer, DecodesAndReplacesWhatIsNotUtf8) {
  const auto tokenizer = load(small_tokenizer());
  EXPECT_EQ(tokenizer->decode(Ids{259, 262, kSmallEnd}), "hello wor<|end|>");
  EXPECT_EQ(tokenizer->decode(Ids{0xE2, 0x82, 'a', 0xFF}), "\uFFFDa\uFFFD");
  EXPECT_EQ(tokenizer->decode(Ids{-1, 'a', 1 << 20, kSmallMarkup + 1}), "a");
}

TEST(StreamDecoder, NeverEmitsPartOfACharacter) {
  const auto tokenizer = load(small_tokenizer());
  StreamDecoder decoder(*tokenizer);
  const auto push = [&](int byte) { return decoder.push(byte); };
  EXPECT_EQ(push(0xF0), "");
  EXPECT_EQ(push(0x9F), "");
  EXPECT_EQ(push(0x98), "");
  EXPECT_EQ(push(0x80), "😀");
  EXPECT_EQ(push(0xE2), "");
  EXPECT_EQ(push('a'), "\uFFFDa");  // what was held back can no longer become a character
  EXPECT_EQ(push(0xFF), "\uFFFD");
  EXPECT_EQ(push(0xC3), "");
  EXPECT_EQ(push(259), "\uFFFDhello");
  EXPECT_EQ(push(0xE2), "");
  EXPECT_EQ(push(0x82), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(push('x'), "x");
}

TEST(StreamDecoder, AgreesWithDecodingAtOnce) {
  const auto tokenizer = load(small_tokenizer());
  std::mt19937 random(11);
  const int bytes[] = {'a',  0x80, 0xBF, 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xED,
                       0xA0, 0xF0, 0x9F, 0x98, 0xF4, 0x90, 0xFF, 259};
  for (int round = 0; round < 20'000; ++round) {
    Ids ids(random() % 12);
    for (TokenId& id : ids) id = bytes[random() % std::size(bytes)];
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string text = decoder.push(id);
      std::string checked;
      append_utf8_lossy(text, checked);
      ASSERT_EQ(text, checked);  // whole characters only
      streamed += text;
    }
    streamed += decoder.finish();
    ASSERT_EQ(streamed, tokenizer->decode(ids));
  }
}

TEST(Tokenizer, BosAndEosComeFromTheConfig) {
  const auto bare = load(small_tokenizer());
  EXPECT_FALSE(bare->bos());
  EXPECT_FALSE(bare->eos());
  EXPECT_FALSE(bare->add_bos());
  const auto named = load(
      small_tokenizer(),
      R"({"bos_token": {"content": "<|end|>"}, "eos_token": "hello", "add_bos_token": true, "x": [{}]})");
  EXPECT_EQ(named->bos(), kSmallEnd);
  EXPECT_EQ(named->eos(), 259);
  EXPECT_TRUE(named->add_bos());
  const auto unknown =
      load(small_tokenizer(), R"({"bos_token": null, "eos_token": "<nothing>", "add_bos_token": true})");
  EXPECT_FALSE(unknown->bos());
  EXPECT_FALSE(unknown->eos());
  EXPECT_FALSE(unknown->add_bos());
  EXPECT_FALSE(parse_tokenizer_json(small_tokenizer().dump(), "{"));

  ordered_json spec = small_tokenizer();
  spec["post_processor"] = ordered_json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}]}]})");
  EXPECT_EQ(load(spec)->bos(), kSmallEnd);
  EXPECT_TRUE(load(spec)->add_bos());
  EXPECT_FALSE(load(spec, R"({"add_bos_token": false})")->add_bos());
}

// Members may stand in any order; merges may be strings.
TEST(Tokenizer, OrderOfMembersDoesNotMatter) {
  const ordered_json spec = small_tokenizer();
  const std::string text = "hello world<|end|>  ell";
  const Ids expected = load(spec)->encode(text, Specials::kRecognised);
  ordered_json reversed = ordered_json::object();
  ordered_json model = ordered_json::object();
  for (auto it = spec["model"].rbegin(); it != spec["model"].rend(); ++it) model[it.key()] = it.value();
  for (auto it = spec.rbegin(); it != spec.rend(); ++it)
    reversed[it.key()] = it.key() == "model" ? model : it.value();
  for (ordered_json& merge : reversed["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  EXPECT_EQ(load(reversed)->encode(text, Specials::kRecognised), expected);
}

TEST(Tokenizer, OneTokenizerServesManyThreads) {
  const auto tokenizer = load(small_tokenizer());
  const std::string text = "hello  world, hell he ell wor llll hello\n helloworld";
  const Ids expected = load(small_tokenizer())->encode(text);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) result = tokenizer->encode(text);
    });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace atelier
