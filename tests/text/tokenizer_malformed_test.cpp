// tokenizer.json files that are wrong: each is refused with an error that says what is wrong.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "small_tokenizer.h"
#include "tests/figure.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

using nlohmann::ordered_json;

// The error of a tokenizer changed by `change`, or nothing where it still loads.
std::optional<Error> error_after(const std::function<void(ordered_json&)>& change) {
  ordered_json spec = small_tokenizer();
  change(spec);
  auto tokenizer = parse_tokenizer_json(spec.dump(), {});
  if (tokenizer) return std::nullopt;
  return tokenizer.error();
}

struct Case {
  const char* what;  // must appear in the message
  ErrorCode code;
  std::function<void(ordered_json&)> change;
};

TEST(MalformedTokenizer, TheUnchangedOneLoads) {
  EXPECT_FALSE(error_after([](ordered_json&) {}));
}

TEST(MalformedTokenizer, ErrorsNameWhatIsWrong) {
  const auto corrupt = ErrorCode::kCorrupt;
  const auto unsupported = ErrorCode::kUnsupported;
  const auto limit = ErrorCode::kLimit;
  const std::vector<Case> cases = {
      {"no \"model\"", corrupt, [](auto& s) { s.erase("model"); }},
      {"expected '{'", corrupt, [](auto& s) { s["model"] = 1; }},
      {"no vocab or no merges", corrupt, [](auto& s) { s["model"].erase("vocab"); }},
      {"no vocab or no merges", corrupt, [](auto& s) { s["model"].erase("merges"); }},
      {"expected '{'", corrupt, [](auto& s) { s["model"]["vocab"] = nullptr; }},
      {"integer", corrupt, [](auto& s) { s["model"]["vocab"]["x!"] = 1.5; }},
      {"number", corrupt, [](auto& s) { s["model"]["vocab"]["x!"] = "1"; }},
      {"found -1", limit, [](auto& s) { s["model"]["vocab"]["x!"] = -1; }},
      {"found 1048576", limit, [](auto& s) { s["model"]["vocab"]["x!"] = 1 << 20; }},
      {"integer", corrupt, [](auto& s) { s["model"]["vocab"]["x!"] = UINT64_MAX; }},
      {"two tokens have the id 5", corrupt, [](auto& s) { s["model"]["vocab"]["x!"] = 5; }},
      {"is no token", corrupt, [](auto& s) { s["model"]["merges"].push_back({"q", "q"}); }},
      {"is no token", corrupt, [](auto& s) { s["model"]["merges"].push_back({"中", "q"}); }},
      {"is no token", corrupt, [](auto& s) { s["model"]["merges"].push_back({"", ""}); }},
      {"merge of two tokens", corrupt, [](auto& s) { s["model"]["merges"].push_back("h"); }},
      {"merge of two tokens", corrupt, [](auto& s) { s["model"]["merges"].push_back("h e l"); }},
      {"merge of two tokens", corrupt, [](auto& s) { s["model"]["merges"].push_back({"h"}); }},
      {"merge of two tokens", corrupt, [](auto& s) { s["model"]["merges"].push_back({"h", "e", "l"}); }},
      {"merge of two tokens", corrupt,
       [](auto& s) { s["model"]["merges"].push_back(ordered_json::array()); }},
      {"expected '\"'", corrupt, [](auto& s) { s["model"]["merges"].push_back({"h", 1}); }},
      {"expected '['", corrupt, [](auto& s) { s["model"]["merges"].push_back(1); }},
      {"expected '['", corrupt, [](auto& s) { s["model"]["merges"] = "h e"; }},
      {"WordLevel", unsupported, [](auto& s) { s["model"]["type"] = "WordLevel"; }},
      {"expected '\"'", corrupt, [](auto& s) { s["model"]["type"] = 1; }},
      {"true or false", corrupt, [](auto& s) { s["model"]["ignore_merges"] = 1; }},
      {"unknown token", corrupt, [](auto& s) { s["model"]["unk_token"] = "<nothing>"; }},
      {"dropout", unsupported, [](auto& s) { s["model"]["dropout"] = 0.1; }},
      {"end_of_word_suffix", unsupported, [](auto& s) { s["model"]["end_of_word_suffix"] = "</w>"; }},
      {"continuing_subword_prefix", unsupported,
       [](auto& s) { s["model"]["continuing_subword_prefix"] = "##"; }},
      {"without id or content", corrupt, [](auto& s) { s["added_tokens"][0].erase("id"); }},
      {"without id or content", corrupt, [](auto& s) { s["added_tokens"][0].erase("content"); }},
      {"without id or content", corrupt, [](auto& s) { s["added_tokens"][0]["content"] = ""; }},
      {"at most 512", limit, [](auto& s) { s["added_tokens"][0]["content"] = std::string(513, 'x'); }},
      {"found 99999999", limit, [](auto& s) { s["added_tokens"][0]["id"] = 99'999'999; }},
      {"which is that of", corrupt, [](auto& s) { s["added_tokens"][0]["id"] = 3; }},
      {"in the vocabulary", corrupt, [](auto& s) { s["added_tokens"][0]["content"] = "hello"; }},
      {"has two ids", corrupt, [](auto& s) { s["added_tokens"][1]["content"] = "<|end|>"; }},
      {"true or false", corrupt, [](auto& s) { s["added_tokens"][0]["special"] = "yes"; }},
      {"expected '['", corrupt, [](auto& s) { s["added_tokens"] = "none"; }},
      {"normalizer \"BertNormalizer\"", unsupported,
       [](auto& s) { s["normalizer"] = {{"type", "BertNormalizer"}}; }},
      {"at most 64 normalizers", limit,
       [](auto& s) {
         s["normalizer"] = {{"type", "Sequence"},
                            {"normalizers", std::vector(65, ordered_json{{"type", "NFC"}})}};
       }},
      {"empty pattern", unsupported,
       [](auto& s) {
         s["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}};
       }},
      {"\"content\": expected a string", corrupt,
       [](auto& s) { s["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "x"}}}}; }},
      {"expected base64", corrupt,
       [](auto& s) { s["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAA!"}}; }},
      {"precompiled_charsmap", corrupt,
       [](auto& s) { s["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}}; }},
      {"expected one character", corrupt,
       [](auto& s) { s["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "__"}}; }},
      {"decoder \"WordPiece\"", unsupported, [](auto& s) { s["decoder"] = {{"type", "WordPiece"}}; }},
      {"with the decoder \"ByteLevel\"", unsupported, [](auto& s) { s["pre_tokenizer"] = nullptr; }},
      {"with no decoder", unsupported,
       [](auto& s) {
         s["pre_tokenizer"] = nullptr;
         s["decoder"] = nullptr;
       }},
      {"one space in front", unsupported,
       [](auto& s) { s["decoder"] = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}; }},
      {"expected a list", corrupt, [](auto& s) { s["normalizer"] = {{"type", "Sequence"}}; }},
      {"pre-tokenizer \"Whitespace\"", unsupported,
       [](auto& s) { s["pre_tokenizer"]["type"] = "Whitespace"; }},
      {"pre-tokenizer", unsupported, [](auto& s) { s["pre_tokenizer"] = {1, 2}; }},
      {"true or false", corrupt, [](auto& s) { s["pre_tokenizer"]["use_regex"] = 1; }},
      {"\"&&\" in the expression [\\w&&x]", unsupported,
       [](auto& s) {
         s["pre_tokenizer"] = {
             {"type", "Split"}, {"pattern", {{"Regex", "[\\w&&x]"}}}, {"behavior", "Isolated"}};
       }},
      {"the expression (a", corrupt,
       [](auto& s) {
         s["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
       }},
      {"expected a pattern", corrupt,
       [](auto& s) { s["pre_tokenizer"] = {{"type", "Split"}, {"behavior", "Isolated"}}; }},
      {"unknown behavior \"Somehow\"", corrupt,
       [](auto& s) {
         s["pre_tokenizer"] = {
             {"type", "Split"}, {"pattern", {{"Regex", "\\p{N}{1,3}"}}}, {"behavior", "Somehow"}};
       }},
      {"behind ByteLevel", unsupported,
       [](auto& s) {
         s["pre_tokenizer"] = {{"type", "Sequence"},
                               {"pretokenizers", {s["pre_tokenizer"], {{"type", "Digits"}}}}};
       }},
      {"at most 8", limit,
       [](auto& s) {
         s["pre_tokenizer"] = {{"type", "Sequence"},
                               {"pretokenizers", std::vector(20, ordered_json{{"type", "Digits"}})}};
       }},
      {"at most 2097152 bytes", limit,
       [](auto& s) { s["normalizer"] = {{"type", std::string(1 << 22, 'x')}}; }},
  };
  for (const Case& c : cases) {
    const std::optional<Error> error = error_after(c.change);
    ASSERT_TRUE(error) << c.what;
    EXPECT_EQ(error->code, c.code) << error->message;
    EXPECT_NE(error->message.find(c.what), std::string::npos)
        << "\"" << c.what << "\" in: " << error->message;
  }
}

TEST(MalformedTokenizer, RepeatedMembers) {
  std::string text = small_tokenizer().dump();
  text.insert(1, R"("model": {}, )");
  EXPECT_FALSE(parse_tokenizer_json(text, {}));
  text = small_tokenizer().dump();
  text.insert(text.find("\"merges\""), R"("vocab": {}, )");
  EXPECT_FALSE(parse_tokenizer_json(text, {}));
  text = small_tokenizer().dump();
  text.insert(text.size() - 2, R"(, "merges": [])");
  EXPECT_FALSE(parse_tokenizer_json(text, {}));
}

TEST(MalformedTokenizer, EveryStrictPrefixIsRefused) {
  const std::string text = small_tokenizer().dump();
  for (size_t n = 0; n < text.size(); ++n)
    ASSERT_FALSE(parse_tokenizer_json(std::string_view(text).substr(0, n), {})) << n << " of " << text.size();
  EXPECT_TRUE(parse_tokenizer_json(text, {}));
  testing::print_figure("hostile files, tokenizer.json, strict prefixes: {} tried, all refused", text.size());
}

// Whatever becomes of a byte, the file loads or is refused, and what loads works.
TEST(MalformedTokenizer, EveryByteChanged) {
  const std::string text = small_tokenizer().dump();
  size_t refused = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char byte : {'\0', '"', '\\', '{', ']', ',', '9', '\xFF'}) {
      std::string changed = text;
      changed[at] = byte;
      const auto tokenizer = parse_tokenizer_json(changed, {});
      if (!tokenizer)
        ++refused;
      else
        (*tokenizer)->encode("hello world <|end|> 12", Specials::kRecognised);
    }
  }
  EXPECT_GT(refused, text.size());
  testing::print_figure("hostile files, tokenizer.json, bytes: {} tried, {} refused, {} read and used",
                        8 * text.size(), refused, 8 * text.size() - refused);
}

TEST(MalformedTokenizer, FilesThatAreNone) {
  const auto code_of = [](const std::filesystem::path& path) {
    auto tokenizer = Tokenizer::load(path);
    return tokenizer ? std::nullopt : std::optional(tokenizer.error().code);
  };
  const std::filesystem::path data = std::filesystem::path(ATELIER_TEST_DATA);
  EXPECT_EQ(code_of(data / "no-such-file.json"), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(data / "no-such-file.gguf"), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(data), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(data / "tokenizer" / "gpt2.goldens.jsonl"), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of("/dev/null"), ErrorCode::kInvalidArgument);
  const auto missing = Tokenizer::load(data / "no-such-file.json");
  EXPECT_NE(missing.error().message.find("no-such-file.json"), std::string::npos);
}

}  // namespace
}  // namespace atelier
