// Vocabularies over characters, as converted from SentencePiece: spaces are ▁, what is no token is spelled in
// bytes, and decoding takes it all back.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "small_tokenizer.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::ordered_json;

std::shared_ptr<const Tokenizer> load_spec(const ordered_json& spec) {
  auto tokenizer = parse_tokenizer_json(spec.dump(), {});
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

constexpr TokenId kUnk = 0;
constexpr TokenId kBos = 1;
constexpr TokenId kByte = 2;  // <0x00>
constexpr TokenId kBar = 258;
constexpr TokenId kA = 259;
constexpr TokenId kB = 260;
constexpr TokenId kAb = 261;
constexpr TokenId kBarA = 262;
constexpr TokenId kTwoBars = 263;

// As Llama 2's.
ordered_json llama_like() {
  ordered_json spec = ordered_json::parse(R"({
    "added_tokens": [],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": {},
              "merges": ["▁ ▁", "▁ a", "a b"]}})");
  for (const auto& [content, id] : {std::pair{"<unk>", kUnk}, {"<s>", kBos}})
    spec["added_tokens"].push_back(
        {{"id", id}, {"content", content}, {"normalized", false}, {"special", true}});
  ordered_json& vocab = spec["model"]["vocab"];
  vocab = {{"<unk>", kUnk}, {"<s>", kBos}};
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte)
    vocab[std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">"] = vocab.size();
  for (const char* token : {"▁", "a", "b", "ab", "▁a", "▁▁"}) vocab[token] = vocab.size();
  return spec;
}

TEST(SentencePieceBpe, SpacesAndBytes) {
  const auto tokenizer = load_spec(llama_like());
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{kBarA, kB}));
  EXPECT_EQ(tokenizer->encode("b ab"), (Ids{kBar, kB, kBarA, kB}));
  EXPECT_EQ(tokenizer->encode("  a"), (Ids{kTwoBars, kBarA}));
  EXPECT_EQ(tokenizer->encode("bab"), (Ids{kBar, kB, kAb}));
  EXPECT_EQ(tokenizer->encode("é"), (Ids{kBar, kByte + 0xC3, kByte + 0xA9}));
  EXPECT_EQ(tokenizer->encode("a\xFF"), (Ids{kBarA, kByte + 0xFF}));
  EXPECT_EQ(tokenizer->encode(""), Ids{});
  // Spelled out, a byte token is text.
  EXPECT_EQ(tokenizer->encode("<0x0A>").size(), 7u);
  EXPECT_EQ(tokenizer->bos(), kBos);
  EXPECT_TRUE(tokenizer->add_bos());
}

TEST(SentencePieceBpe, EachTextBetweenControlTokensIsOne) {
  const auto tokenizer = load_spec(llama_like());
  EXPECT_EQ(tokenizer->encode("<s>a<s>", Specials::kRecognised), (Ids{kBos, kBarA, kBos}));
  EXPECT_EQ(tokenizer->encode("a<s>a", Specials::kRecognised), (Ids{kBarA, kBos, kBarA}));
  for (const TokenId id : tokenizer->encode("<s>", Specials::kAsText)) EXPECT_NE(id, kBos);
}

TEST(SentencePieceBpe, DecodesWhatItEncodes) {
  const auto tokenizer = load_spec(llama_like());
  for (const std::string text : {"ab", " ab", "a  b é 中\n", "\t", "<0x0A>"}) {
    const Ids ids = tokenizer->encode(text);
    EXPECT_EQ(tokenizer->decode(ids), text);
    StreamDecoder from_start(*tokenizer, StreamDecoder::Begin::kText);
    StreamDecoder continued(*tokenizer);
    std::string streamed;
    std::string continuing;
    for (const TokenId id : ids) {
      streamed += from_start.push(id);
      continuing += continued.push(id);
    }
    EXPECT_EQ(streamed + from_start.finish(), text);
    EXPECT_EQ(continuing + continued.finish(), " " + text);
  }
  EXPECT_EQ(tokenizer->token_bytes(kBarA), " a");
  EXPECT_EQ(tokenizer->token_bytes(kByte + 0x80), "\x80");
  EXPECT_EQ(tokenizer->find_token(" a"), kBarA);
  EXPECT_EQ(tokenizer->find_token("\n"), kByte + '\n');
  EXPECT_EQ(tokenizer->find_token("<s>"), kBos);
  EXPECT_EQ(tokenizer->find_token("c"), kByte + 'c');
  EXPECT_EQ(tokenizer->find_token("cc"), std::nullopt);
}

TEST(SentencePieceBpe, WithoutBytesThereIsTheUnknownToken) {
  ordered_json spec = llama_like();
  spec["model"]["byte_fallback"] = false;
  EXPECT_EQ(load_spec(spec)->encode("axxa"), (Ids{kBarA, kUnk, kA}));
  spec["model"]["fuse_unk"] = false;
  EXPECT_EQ(load_spec(spec)->encode("axxa"), (Ids{kBarA, kUnk, kUnk, kA}));
}

// The normalised form of an added token is what is looked for in normalised text.
TEST(SentencePieceBpe, NormalizedAddedTokens) {
  ordered_json spec = llama_like();
  spec["added_tokens"].push_back(
      {{"id", kTwoBars + 1}, {"content", "Q q"}, {"normalized", true}, {"special", true}});
  const auto tokenizer = load_spec(spec);
  EXPECT_EQ(tokenizer->encode("Q q", Specials::kRecognised), Ids{kTwoBars + 1});
  EXPECT_EQ(tokenizer->encode("a Q qa", Specials::kRecognised), (Ids{kBarA, kTwoBars + 1, kA}));
  EXPECT_EQ(tokenizer->find_token("Q q"), kTwoBars + 1);
  EXPECT_EQ(tokenizer->token_bytes(kTwoBars + 1), "Q q");
}

ordered_json t5_like() {
  return ordered_json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "</s>", "special": true}],
    "normalizer": {"type": "NFKC"},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
    "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
              "vocab": [["<unk>", 0], ["</s>", 0], ["▁", -3], ["a", -2.5], ["fi", -2], ["▁a", -1]]}})");
}

TEST(SentencePieceUnigram, FromTokenizerJson) {
  const auto tokenizer = load_spec(t5_like());
  EXPECT_EQ(tokenizer->encode("a ﬁ"), (Ids{5, 2, 4}));
  EXPECT_EQ(tokenizer->encode("a</s>", Specials::kRecognised), (Ids{5, 1}));
  EXPECT_EQ(tokenizer->encode("</s>", Specials::kAsText), (Ids{2, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{5, 2, 4}), "a fi");
  EXPECT_EQ(tokenizer->vocab_size(), 6u);
  ordered_json spec = t5_like();
  spec["model"].erase("unk_id");
  EXPECT_FALSE(parse_tokenizer_json(spec.dump(), {}));
  spec = t5_like();
  spec["model"]["vocab"][2] = {"▁"};
  EXPECT_FALSE(parse_tokenizer_json(spec.dump(), {}));
  spec["model"]["vocab"] = ordered_json::array();
  EXPECT_FALSE(parse_tokenizer_json(spec.dump(), {}));
}

// The expression of a file that nobody knows, and what happens where it gives up.
TEST(Tokenizer, UnknownExpressions) {
  ordered_json spec = small_tokenizer();
  const auto with = [&spec](const char* regex) {
    spec["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}},
                               {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
    return load_spec(spec);
  };
  EXPECT_EQ(with("he")->encode("hello"), (Ids{257, 256, 'o'}));
  EXPECT_EQ(with("z")->encode("hello"), Ids{259});
  const auto explosive = with("(l+)+$");
  const std::string text = "he" + std::string(60, 'l') + "o";
  Ids ids = {7};
  const Status status = explosive->try_encode(text, Specials::kAsText, ids);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  EXPECT_NE(status.error().message.find("match limit"), std::string::npos) << status.error().message;
  EXPECT_EQ(ids, Ids{7});
  EXPECT_EQ(explosive->encode(text), with("z")->encode(text));
}

}  // namespace
}  // namespace atelier
