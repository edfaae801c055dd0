// Verdicts that grammars share: which states count as the same, and that masks made of them are right.
#include "engine/constraint/verdict_cache.h"

#include <gtest/gtest.h>

#include "engine/constraint/gbnf.h"
#include "engine/constraint/json_schema.h"
#include "tests/engine/constraint_vocabulary.h"

namespace atelier::constraint {
namespace {

Signature signature_of(std::string_view gbnf) {
  const auto grammar = compile_gbnf(gbnf).value();
  return signature(*grammar, grammar->start(), std::nullopt);
}

TEST(Signature, IsOfWhatCanBeReached) {
  const Signature one = signature_of("root ::= x \"-\" x\nx ::= [a-m]{2,5} | \"(\" root \")\"");
  EXPECT_FALSE(one.empty());
  EXPECT_EQ(one, signature_of("root ::= x \"-\" x\nx ::= [a-m]{2,5} | \"(\" root \")\""));
  for (const char* other : {"root ::= x \"-\" x\nx ::= [a-n]{2,5} | \"(\" root \")\"",
                            "root ::= x \"-\" x\nx ::= [a-m]{2,6} | \"(\" root \")\"",
                            "root ::= x \"-\" x\nx ::= [a-m]{1,5} | \"(\" root \")\"",
                            "root ::= x \"-\" x\nx ::= [a-m]{2,5} | \"(\" x \")\"",
                            "root ::= x \"-\"\nx ::= [a-m]{2,5} | \"(\" root \")\""})
    EXPECT_NE(one, signature_of(other)) << other;
}

TEST(Signature, DoesNotDependOnNumbers) {
  // "ab" [c-y]* in two places: the first state after "ab" is another one, what follows is not.
  const auto one = compile_gbnf("root ::= \"ab\" [c-y]*").value(),
             two = compile_gbnf("root ::= \"b\" [c-y]*").value();
  const auto after = [](const Grammar& grammar, std::string_view text) {
    StateId at = grammar.start();
    for (const char c : text)
      for (const Grammar::Edge& edge : grammar.edges(at))
        if (edge.first == static_cast<uint8_t>(c)) {
          at = edge.target;
          break;
        }
    return at;
  };
  const StateId of_one = after(*one, "ab"), of_two = after(*two, "b");
  EXPECT_NE(of_one, of_two);
  EXPECT_EQ(signature(*one, of_one, std::nullopt), signature(*two, of_two, std::nullopt));
  EXPECT_NE(signature(*one, of_one, std::nullopt), signature(*two, of_two, of_two));
}

// Follows one text under another schema's verdicts and under its own.
TEST(VerdictCache, OfOneSchemaServesTheNext) {
  const auto vocabulary = WordVocabulary::large();
  const WithVocabulary shared(vocabulary), own(vocabulary);
  const auto prepared = [](const WithVocabulary& with, std::string_view schema) {
    auto constraint = Constraint::create(compile_json_schema(schema).value(), with.trie()).value();
    constraint->prepare();
    return constraint;
  };
  prepared(
      shared,
      R"({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "maxLength": 9}}})");
  const size_t before = shared.trie()->verdicts().bytes();
  EXPECT_GT(before, 0u);

  const char* schema =
      R"({"type": "object", "required": ["name", "n", "tag"], "properties": {"name": {"type": "string"},
                           "n": {"type": "integer"}, "tag": {"type": "string", "maxLength": 20}}})";
  ConstraintMatcher matcher(prepared(shared, schema)), lone(prepared(own, schema));
  EXPECT_EQ(shared.trie()->verdicts().bytes(), before);  // strings are strings
  std::vector<uint64_t> mask(token_mask_words(vocabulary->vocab_size())), alone(mask.size());
  for (const char c : std::string_view(R"({"name": "abc é\n the", "n": -12, "tag": "abcabcabc the"})")) {
    ASSERT_TRUE(matcher.allowed(mask));
    ASSERT_TRUE(lone.allowed(alone));
    ASSERT_EQ(mask, alone);
    ASSERT_EQ(ids_in(mask), ids_in(mask_by_trial(matcher, *vocabulary)));
    ASSERT_TRUE(matcher.accept_text(std::string_view(&c, 1)));
    ASSERT_TRUE(lone.accept_text(std::string_view(&c, 1)));
  }
  EXPECT_TRUE(matcher.can_end());
}

TEST(VerdictCache, ForgetsEverythingWhenFull) {
  VerdictCache cache;
  const auto verdict = [](size_t n) {
    auto out = std::make_shared<Verdict>();
    out->tokens.resize(n);
    return out;
  };
  cache.add({1}, verdict(1000));
  cache.add({2}, verdict(1000));
  const auto held = cache.find({1});
  ASSERT_NE(held, nullptr);
  EXPECT_EQ(cache.find({3}), nullptr);
  cache.add({3}, verdict(VerdictCache::kMaxBytes / sizeof(TokenId) - 500));
  EXPECT_EQ(cache.find({1}), nullptr);
  EXPECT_NE(cache.find({3}), nullptr);
  EXPECT_LE(cache.bytes(), VerdictCache::kMaxBytes);
  EXPECT_EQ(held->tokens.size(), 1000u);
}

}  // namespace
}  // namespace atelier::constraint
