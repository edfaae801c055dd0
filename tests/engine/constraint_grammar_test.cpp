// GBNF and regular expressions: which texts they match, what they refuse, and that masks say what trying
// every token says.
#include <gtest/gtest.h>

#include "engine/constraint/gbnf.h"
#include "engine/constraint/regex.h"
#include "tests/engine/constraint_vocabulary.h"

namespace atelier::constraint {
namespace {

struct Case {
  std::string grammar;
  std::vector<std::string> yes, no;
};

void check(const std::vector<Case>& cases,
           const std::function<Result<std::shared_ptr<const Grammar>>(std::string_view)>& compile) {
  for (const Case& c : cases) {
    const auto grammar = compile(c.grammar);
    ASSERT_TRUE(grammar) << c.grammar << ": " << grammar.error().message;
    for (const std::string& text : c.yes) EXPECT_TRUE(matches(*grammar, text)) << c.grammar << " : " << text;
    for (const std::string& text : c.no) EXPECT_FALSE(matches(*grammar, text)) << c.grammar << " : " << text;
  }
}

std::string times(std::string_view text, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Gbnf, MatchesWhatItSays) {
  check(
      {
          {R"(root ::= "a" "b"? "c"*)", {"a", "ab", "abccc", "ac"}, {"", "b", "abb", "abcb"}},
          {"root ::= x | y # two ways\nx ::= [0-9]+ # digits\n\ny ::= [^0-9x-z]\n",
           {"0", "99", "a", "é"},
           {"x", "", "a0"}},
          {R"(root ::= [a-c]{2,3} [x]{2} [y]{1,})",
           {"abxxy", "abcxxyyy"},
           {"axxy", "abcaxxy", "abxy", "abxx"}},
          {R"x(root ::= "\x41\u00e9\U0001F600\n\r\t\\\"" [\[\]^-])x",
           {"Aé😀\n\r\t\\\"[", "Aé😀\n\r\t\\\"]"},
           {"A"}},
          {"root ::= .", {"a", "\n", "日", "😀"}, {"", "ab", "\x80", "\xC3"}},
          {"root ::= (\n \"a\" |\n  # comment\n \"b\"\n)+ |\n \"c\"", {"abab", "c"}, {"cc", ""}},
          {R"x(root ::= "(" root ")" | "")x", {"", "()", "((()))"}, {"(", ")", "(()"}},
          {R"x(root ::= ("a" | "b" root "b"))x", {"a", "bab", "bbabb"}, {"ba", "bb"}},
          {R"x(root ::= "")x", {""}, {"a"}},
          {"root ::= under_score-1\nunder_score-1 ::= \"x\"", {"x"}, {"y"}},
          // Repetitions of what may be empty, and of repetitions.
          {R"(root ::= ("a"*){0,1000} "b")", {"b", times("a", 2000) + "b"}, {"a", "bb"}},
          {R"(root ::= ("a"? "b"?)* )", {"", "abab", "bba"}, {"c"}},
          {R"(root ::= (("ab"){2,3} ","){40,41})",
           {times("abab,", 40), times("ababab,", 41)},
           {times("abab,", 39), times("abab,", 42), times("ab,", 40)}},
      },
      compile_gbnf);
}

TEST(Gbnf, CountsWithoutWritingThemOut) {
  const auto grammar = compile_gbnf(R"(root ::= "<" item{3,100000} ">"  item ::= [a-z] | "é")");
  ASSERT_FALSE(grammar);  // two rules on a line
  const auto counted =
      compile_gbnf("root ::= \"<\" item{3,100000} \">\"\nitem ::= [a-z] | \"é\" | \"(\" root \")\"");
  ASSERT_TRUE(counted);
  EXPECT_LT((*counted)->n_states(), 40u);
  EXPECT_TRUE(matches(*counted, "<" + times("é", 3) + ">"));
  EXPECT_TRUE(matches(*counted, "<" + times("x", 100000) + ">"));
  EXPECT_FALSE(matches(*counted, "<" + times("x", 100001) + ">"));
  EXPECT_FALSE(matches(*counted, "<xx>"));
  EXPECT_TRUE(matches(*counted, "<(<xyz>)xx>"));
}

TEST(Gbnf, RulesMayBeginWithThemselves) {
  check(
      {
          {"root ::= root \"+\" term | term\nterm ::= term \"*\" factor | factor\nfactor ::= [0-9] | \"(\" "
           "root \")\"",
           {"1", "1+2*3", "(1+2)*3+4"},
           {"+", "1+", "1**2"}},
          {"root ::= root root | \"a\"", {"a", "aaaaaaaa"}, {"", "b"}},
          {"root ::= root | \"a\"", {"a"}, {"aa"}},
      },
      compile_gbnf);
  const auto indirect = compile_gbnf("root ::= list \"x\"\nlist ::= more? \"y\"\nmore ::= \"z\"? list");
  ASSERT_FALSE(indirect);
  EXPECT_EQ(indirect.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(indirect.error().message.find("list -> more -> list"), std::string::npos)
      << indirect.error().message;
}

TEST(Gbnf, RefusesWithTheLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"root ::= \"a", "line 1"},
      {"root ::= a", "\"a\""},
      {"a ::= \"x\"", "root"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2"},
      {"root ::= \"a\" )", "line 1"},
      {"root ::= [z-a]", "range"},
      {"root ::= \"\\q\"", "escape"},
      {"root ::= \"\\ud800\"", "character"},
      {"root ::= <think>", "token reference"},
      {"root ::= !<[10]>", "token reference"},
      {"root ::= \"a\"{3,2}", "{3,2}"},
      {"root ::= \"a\"{x}", "repetitions"},
      {"root = \"a\"", "::="},
      {"root ::= \"\xff\"", "UTF-8"},
      {"root ::= \"a\" root", "nothing"},  // never ends
      {"", "root"},
  };
  for (const auto& [text, part] : cases) {
    const auto grammar = compile_gbnf(text);
    ASSERT_FALSE(grammar) << text;
    if (part != "nothing")
      EXPECT_NE(grammar.error().message.find(part), std::string::npos) << grammar.error().message;
  }
  for (const std::string& text :
       {"root ::= " + std::string(10'000'000, '('), "root ::= " + std::string(200'000, '('),
        "root ::= (((\"a\"" + times("{2,1000000}", 20'000) + ")))"}) {
    const auto grammar = compile_gbnf(text);
    ASSERT_FALSE(grammar);
    EXPECT_EQ(grammar.error().code, ErrorCode::kLimit) << grammar.error().message;
  }
}

TEST(RegexGrammar, MatchesWhatItSays) {
  check(
      {
          {"a|bc", {"a", "bc"}, {"", "b", "abc"}},
          {"^a+$", {"a", "aaa"}, {"", "ab"}},
          {"[^a-c\\d]{2}", {"xy", "é日"}, {"x1", "ax", "x"}},
          {"\\d{4}-\\d{2}(?:-\\d{2})?", {"2024-01", "2024-01-31"}, {"2024-1", "24-01"}},
          {"(?<year>\\w+)\\s\\S", {"ab_1 x", "a\u00a0é"}, {"ab x ", "é x"}},
          {"\\u0041\\x42\\u{1F600}\\uD83D\\uDE00\\t\\cA\\0\\/", {std::string("AB😀😀\t\x01\0/", 14)}, {"AB"}},
          {"a*?b+?c??", {"b", "aabbc"}, {"a", "c"}},
          {"a{2", {"a{2"}, {"aa"}},
          {"a{,3}", {"a{,3}"}, {"a"}},
          {"x{2,}y{0}", {"xx", "xxxx"}, {"x", "xxy"}},
          {"[]|a", {"a"}, {""}},
          {"[^]", {"a", "\n"}, {""}},
          {"[a-]b[-c][\\w-]", {"ab--", "-bcx"}, {"bb--"}},
          {".", {"a", "😀"}, {"\n", "\r", ""}},
          {"()", {""}, {"a"}},
          {"(a|b|)*c", {"c", "abac"}, {"a"}},
          {"a(^b|c$)", {"ac"}, {"ab", "a"}},
          {"(^|x)a($|y)", {"a", "xa", "ay", "xay"}, {"b"}},
          {"\\p{Lu}\\p{L}\\P{L}", {"Éa1", "Az "}, {"éa1", "AAA"}},
          {"(a{0,500}){0,500}", {"", times("a", 3000)}, {"b"}},
      },
      compile_regex);
}

TEST(RegexGrammar, RefusesByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"(?=a)", "look-ahead"},
      {"(?!a)", "look-ahead"},
      {"(?<=a)b", "look-behind"},
      {"(?<!a)b", "look-behind"},
      {"(a)\\1", "back-ref"},
      {"(?<n>a)\\k<n>", "back-ref"},
      {"\\bword\\b", "\\b"},
      {"(?i)a", "flags"},
      {"\\p{Greek}", "Greek"},
      {"\\ud800", "surrogate"},
      {"a**", "quantifier"},
      {"*a", "repeat"},
      {"(a", "\")\""},
      {"a)", "end"},
      {"[a", "\"]\""},
      {"a{3,2}", "{3,2}"},
      {"[z-a]", "range"},
      {"\\A", "escape"},
      {"\\012", "octal"},
      {"\\", "escape"},
  };
  for (const auto& [text, part] : cases) {
    const auto grammar = compile_regex(text);
    ASSERT_FALSE(grammar) << text;
    EXPECT_NE(grammar.error().message.find(part), std::string::npos)
        << text << ": " << grammar.error().message;
  }
  EXPECT_EQ(compile_regex(std::string(60'000, '(')).error().code, ErrorCode::kLimit);
  EXPECT_EQ(compile_regex("a$b").error().code, ErrorCode::kInvalidArgument);  // matches nothing
}

// Both ways to a mask must agree at every step of random generations.
TEST(TokenMasks, SayWhatTryingEveryTokenSays) {
  const std::vector<std::string> grammars = {
      "root ::= \"{\" pair (\",\" pair){0,3} \"}\"\npair ::= str \": \"? value\nstr ::= \"\\\"\" "
      "char{0,12} \"\\\"\"\n"
      "char ::= [^\"\\\\\\x00-\\x1f] | \"\\\\\" ([nrt\"] | \"u\" [0-9a-f]{4})\nvalue ::= str | [0-9]{1,40} "
      "| root",
      "root ::= word (\" \" word)*\nword ::= [a-z]{3,7} | [a-z]{20,400} | \"é\"+ | \"日\"{2,50}",
      "root ::= root \"+\" term | term\nterm ::= term \"*\" factor | factor\nfactor ::= [0-9]+ | \"(\" "
      "root \")\"",
      "root ::= (\"ab\" | \"abc\" | \"a\" | \"bc\"){2,60} (\"a\"{0,5} \"b\"?){3,90}",
      "root ::= .{5,}",
      "root ::= \"the\" (\" the\" | \" name\" [a-z]{0,2}){0,30} \"\\\"\"",
      "root ::= s s | \"x\"\ns ::= s \"a\" | s s | \"b\" [a]{0,40}",
  };
  for (const auto& words : {WordVocabulary::common(), WordVocabulary::large()}) {
    const WithVocabulary with(words);
    std::mt19937 random(7);
    for (const std::string& text : grammars) {
      const auto grammar = compile_gbnf(text);
      ASSERT_TRUE(grammar) << grammar.error().message;
      const auto constraint = Constraint::create(*grammar, with.trie()).value();
      for (int run = 0; run < 12; ++run) {
        ConstraintMatcher matcher(constraint);
        for (int step = 0; step < 25; ++step) {
          std::vector<uint64_t> mask(token_mask_words(with.tokenizer().vocab_size()), ~uint64_t{0});
          ASSERT_TRUE(matcher.allowed(mask));
          ASSERT_EQ(ids_in(mask), ids_in(mask_by_trial(matcher, with.tokenizer())))
              << text << " step " << step;
          const std::vector<TokenId> ids = ids_in(mask);
          if (ids.empty()) {
            EXPECT_TRUE(matcher.is_complete());
            break;
          }
          ASSERT_TRUE(matcher.accept(ids[random() % ids.size()], with.tokenizer()));
        }
      }
    }
  }
}

TEST(Matcher, CopiesRollsBackAndForces) {
  const WithVocabulary with;
  const auto grammar = compile_gbnf("root ::= \"hello \" (\"world\" | \"wonder\") \"!\"").value();
  ConstraintMatcher matcher = with.matcher(grammar);
  EXPECT_EQ(matcher.forced(), "hello wo");
  EXPECT_EQ(matcher.forced(3), "hel");
  EXPECT_FALSE(matcher.accept_text("help"));
  EXPECT_EQ(matcher.steps(), 0u);
  ASSERT_TRUE(matcher.accept_text("hello wor"));
  ConstraintMatcher copy = matcher;
  EXPECT_EQ(copy.forced(), "ld!");
  ASSERT_TRUE(copy.accept_text("ld!"));
  EXPECT_TRUE(copy.can_end());
  EXPECT_TRUE(copy.is_complete());
  EXPECT_EQ(copy.forced(), "");
  EXPECT_FALSE(matcher.can_end());
  copy.rollback(2);
  EXPECT_EQ(copy.forced(), "hello wo");
  EXPECT_FALSE(
      matcher.accept(static_cast<const WordVocabulary&>(with.tokenizer()).special(), with.tokenizer()));
  EXPECT_FALSE(matcher.accept(-1, with.tokenizer()));
}

TEST(Matcher, TheShortestWayToTheEnd) {
  const WithVocabulary with;
  const auto completion = [&](const char* gbnf, std::string_view so_far, std::string_view first = {}) {
    ConstraintMatcher matcher = with.matcher(compile_gbnf(gbnf).value());
    EXPECT_TRUE(matcher.accept_text(so_far)) << gbnf;
    const std::string rest = matcher.completion(first);
    EXPECT_EQ(matcher.steps(), 1u) << "it only looks";
    EXPECT_TRUE(rest.empty() || (matcher.accept_text(rest) && matcher.can_end())) << gbnf << " " << rest;
    return rest;
  };
  const char* list = "root ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= root | \"word\" | [0-9]{3,9}";
  EXPECT_EQ(completion(list, "["), "]");
  EXPECT_EQ(completion(list, "[[["), "]]]");
  EXPECT_EQ(completion(list, "[[wo"), "rd]]");
  EXPECT_EQ(completion(list, "[1").size(), 3u) << "two more rounds that are owed, and the bracket";
  EXPECT_EQ(completion(list, "[word,").size(), 3u) << "the shortest item";
  EXPECT_EQ(completion(list, "[", "word"), "word]");
  EXPECT_EQ(completion(list, "[", "nothing"), "") << "no text begins like that";
  EXPECT_EQ(completion(list, "[]"), "");
}

TEST(Matcher, ForcedTokensStopWhereMoreTextCouldCutDifferently) {
  const WithVocabulary with;
  const auto text_of = [&](std::string_view forced) {
    return with.tokenizer().decode(forced_tokens(forced, with.tokenizer(), *with.trie()));
  };
  EXPECT_EQ(text_of(""), "");
  EXPECT_EQ(text_of("Q!"), "Q!");           // nothing longer begins with "!"
  EXPECT_EQ(text_of("Q!hello wor"), "Q!");  // "hello world" might follow
  EXPECT_EQ(text_of("hello world!"), "hello world!");
}

TEST(Matcher, VocabulariesWithoutSomeBytesNeverGetStuck) {
  class Letters final : public Tokenizer {
   public:
    using Tokenizer::encode;
    void encode(std::string_view, Specials, std::vector<TokenId>&) const override {}
    std::string_view token_bytes(TokenId id) const override {
      static const std::vector<std::string> tokens = {"a", "b", "c!", "!"};
      return id >= 0 && id < 4 ? std::string_view(tokens[static_cast<size_t>(id)]) : std::string_view();
    }
    bool is_special(TokenId) const override { return false; }
    std::optional<TokenId> find_token(std::string_view) const override { return std::nullopt; }
    size_t vocab_size() const override { return 4; }
    std::optional<TokenId> bos() const override { return std::nullopt; }
    std::optional<TokenId> eos() const override { return std::nullopt; }
    bool add_bos() const override { return false; }
  };
  const auto trie = TokenTrie::build(Letters());
  const auto grammar = compile_gbnf("root ::= [a-z] (\"!\" | \"?\")").value();
  ConstraintMatcher matcher(Constraint::create(grammar, trie).value());
  std::vector<uint64_t> mask(1);
  ASSERT_TRUE(matcher.allowed(mask));
  EXPECT_EQ(mask[0], 0b11u);  // no token for "c" alone, so none for texts that might need it
  EXPECT_FALSE(Constraint::create(compile_gbnf("root ::= \"zz\"").value(), trie));
}

// A constraint's caches are thrown away when they grow too large; matchers go on where they stood.
TEST(Matcher, OutlivesItsCaches) {
  const WithVocabulary with;
  const auto grammar =
      compile_gbnf("root ::= \"[\" (x \",\"){0,3000000} \"]\"\nx ::= [a-z]{1,900000} | root").value();
  const auto constraint = Constraint::create(grammar, with.trie()).value();
  ConstraintMatcher matcher(constraint), other(constraint);
  std::vector<uint64_t> mask(token_mask_words(with.tokenizer().vocab_size()));
  ASSERT_TRUE(other.accept_text("[abc,[x,"));
  ASSERT_TRUE(matcher.accept_text("["));
  const std::string chunk = times("x", 30'000);
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(matcher.accept_text(chunk));
    ASSERT_TRUE(matcher.allowed(mask));
  }
  ASSERT_TRUE(other.accept_text("y,],z,]"));
  EXPECT_TRUE(other.is_complete());
  other.rollback(1);
  EXPECT_FALSE(other.accept_text("]]]"));
  ASSERT_TRUE(other.allowed(mask));
  EXPECT_EQ(ids_in(mask), ids_in(mask_by_trial(other, with.tokenizer())));
  EXPECT_FALSE(matcher.accept_text(times("x", 150'001)));
  EXPECT_TRUE(matcher.accept_text(times("x", 150'000)));
  EXPECT_EQ(matcher.forced(), ",");
}

}  // namespace
}  // namespace atelier::constraint
