// What the models are known to emit beyond the format, and what a stream must look like.
#include "chat/harmony_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "chat/harmony_dialect.h"
#include "tests/chat/golden_parts.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

struct ParsedTurn {
  Message message;
  std::vector<Delta> deltas;
  std::vector<RawMessage> raw;
  FinishReason reason;
  bool done;
};

ParsedTurn parse_turn(std::span<const TokenId> ids, const ParserOptions& options = {}) {
  const auto dialect = make_harmony(ToyTokenizer::harmony()).value();
  const auto parser = dialect->new_parser(options);
  ParsedTurn turn;
  for (TokenId id : ids) parser->push(id, turn.deltas);
  turn.done = parser->done();
  turn.message = parser->finish(turn.deltas);
  turn.reason = parser->finish_reason();
  turn.raw.assign(parser->raw_messages().begin(), parser->raw_messages().end());
  return turn;
}

ParsedTurn parse_turn(std::string_view text, const ParserOptions& options = {}) {
  return parse_turn(ids_of_text(text, *ToyTokenizer::harmony()), options);
}

// The deltas of one kind, put together.
std::string streamed(const ParsedTurn& turn, Delta::Kind kind, size_t call = 0) {
  std::string out;
  for (const Delta& delta : turn.deltas)
    if (delta.kind == kind && delta.call == call) out += delta.text;
  return out;
}

void expect_stream_agrees(const ParsedTurn& turn) {
  EXPECT_EQ(streamed(turn, Delta::Kind::kReasoning), turn.message.reasoning);
  EXPECT_EQ(streamed(turn, Delta::Kind::kPreamble), turn.message.preamble);
  EXPECT_EQ(streamed(turn, Delta::Kind::kFinal), turn.message.content);
  size_t begun = 0, ended = 0;
  for (const Delta& delta : turn.deltas) {
    if (delta.kind == Delta::Kind::kToolCallBegin) {
      ASSERT_LT(begun, turn.message.tool_calls.size());
      EXPECT_EQ(delta.name, turn.message.tool_calls[begun].name);
      EXPECT_EQ(delta.id, turn.message.tool_calls[begun].id);
      EXPECT_EQ(delta.call, begun++);
    }
    if (delta.kind == Delta::Kind::kToolCallEnd) {
      EXPECT_EQ(delta.call, ended++);
    }
  }
  EXPECT_EQ(begun, turn.message.tool_calls.size());
  EXPECT_EQ(ended, begun);
  for (size_t i = 0; i < begun; ++i)
    EXPECT_EQ(streamed(turn, Delta::Kind::kArguments, i), turn.message.tool_calls[i].arguments);
}

void expect_call(const ParsedTurn& turn, std::string_view name, std::string_view arguments) {
  expect_stream_agrees(turn);
  ASSERT_EQ(turn.message.tool_calls.size(), 1u);
  EXPECT_EQ(turn.message.tool_calls[0].name, name);
  EXPECT_EQ(turn.message.tool_calls[0].arguments, arguments);
  EXPECT_EQ(turn.message.content, "");
}

TEST(HarmonyParser, ReasoningThenAnswer) {
  const ParsedTurn turn = parse_turn(
      "<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>final<|message|>4.<|return|>");
  expect_stream_agrees(turn);
  EXPECT_EQ(turn.message.reasoning, "Think.");
  EXPECT_EQ(turn.message.content, "4.");
  EXPECT_EQ(turn.reason, FinishReason::kStop);
  EXPECT_TRUE(turn.done);
}

TEST(HarmonyParser, PreambleThenCall) {
  const ParsedTurn turn = parse_turn(
      "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary<|message|>Plan:<|end|>"
      "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>");
  expect_call(turn, "f", "{\"a\":1}");
  EXPECT_EQ(turn.message.preamble, "Plan:");
  EXPECT_EQ(turn.message.tool_calls[0].id, "call_1");
  EXPECT_TRUE(turn.message.tool_calls[0].complete);
  EXPECT_EQ(turn.reason, FinishReason::kToolCalls);
  ASSERT_EQ(turn.raw.size(), 3u);
  EXPECT_EQ(turn.raw[2].recipient, "functions.f");
  EXPECT_EQ(turn.raw[2].content_type, "<|constrain|>json");
}

TEST(HarmonyParser, CallIdsContinue) {
  const ParsedTurn turn = parse_turn("<|channel|>commentary to=functions.f<|message|>{}<|call|>", {true, 4});
  ASSERT_EQ(turn.message.tool_calls.size(), 1u);
  EXPECT_EQ(turn.message.tool_calls[0].id, "call_5");
}

TEST(HarmonyParser, CallHeadersAsModelsWriteThem) {
  for (const char* header : {
           " to=functions.f<|channel|>commentary <|constrain|>json<|message|>",
           " to=functions.f<|channel|>commentary<|constrain|>json<|message|>",
           " to=functions.f<|channel|>commentary json<|message|>",
           " to=functions.f<|channel|>commentary<|message|>",
           " to=functions.f<|message|>",
           " to=functions.f <|constrain|>json<|message|>",
           "<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
           "<|channel|>commentary to=functions.f<|constrain|>json<|message|>",
           "<|channel|>commentary to=functions.f json<|message|>",
           "<|channel|>commentary to=functions.f code<|message|>",
           "<|channel|>commentary to=functions.f<|message|>",
           "<|channel|>commentary to= functions.f<|message|>",
           "<|channel|>commentaryto=functions.f<|message|>",
           "<|channel|>commentary functions.f<|message|>",
           "<|channel|>commentary <|constrain|>json to=functions.f<|message|>",
           "<|channel|>analysis to=functions.f <|constrain|>json<|message|>",
           "<|channel|>final to=functions.f<|message|>",
           "<|channel|>to=functions.f<|message|>",
           "<|channel|>commentary<|channel|>analysis to=functions.f<|message|>",
           "<|channel|>commentary to=f<|message|>",
           "<|channel|>analysis<|message|><|channel|>commentary to=functions.f<|message|>",
           "<|start|>assistant<|channel|>commentary to=functions.f<|message|>",
           "<|start|>assistant to=functions.f<|channel|>commentary<|message|>",
           "assistant<|channel|>commentary to=functions.f<|message|>",
           "<|end|><|channel|>commentary to=functions.f<|message|>",
           "<|reserved_200013|><|channel|>commentary to=functions.f<|message|>",
       }) {
    SCOPED_TRACE(header);
    for (const char* end : {"<|call|>", "<|end|>", "<|return|>", "<|endoftext|>"}) {
      const ParsedTurn turn = parse_turn(std::string(header) + "{\"x\":2}" + end);
      expect_call(turn, "f", "{\"x\":2}");
      EXPECT_EQ(turn.reason, FinishReason::kToolCalls);
      EXPECT_TRUE(turn.done);
    }
  }
}

TEST(HarmonyParser, BuiltinToolsKeepTheirNamespace) {
  expect_call(parse_turn("<|channel|>analysis to=browser.search code<|message|>{\"query\":\"x\"}<|call|>"),
              "browser.search", "{\"query\":\"x\"}");
  expect_call(parse_turn("<|channel|>analysis to=python code<|message|>print(1)<|call|>"), "python",
              "print(1)");
  expect_call(parse_turn("<|channel|>analysis python<|message|>print(1)<|call|>"), "python", "print(1)");
}

TEST(HarmonyParser, AnswersWithoutAProperHeader) {
  for (const char* text : {
           "<|message|>Yes<|return|>",
           "<|channel|>final<|message|>Yes<|end|>",
           "<|channel|>final <|constrain|>json<|message|>Yes<|return|>",
           "<|channel|>final",
           "<|channel|>final Yes<|return|>",
           "<|channel|>finals<|message|>Yes<|return|>",
           "<|channel|>answer<|message|>Yes<|return|>",
           "<|channel|><|message|>Yes<|return|>",
           "<|start|>assistant<|message|>Yes<|return|>",
           "<|start|>assistantfinal<|message|>Yes<|return|>",
           "<|start|>final<|message|>Yes<|return|>",
           "<|start|><|message|>Yes<|return|>",
           "<|channel|>final to=user<|message|>Yes<|return|>",
           "<|channel|>final<|message|>Y<|constrain|>es<|message|><|return|>",
           "Yes<|return|>",
           "Yes",
       }) {
    SCOPED_TRACE(text);
    const ParsedTurn turn = parse_turn(text);
    expect_stream_agrees(turn);
    EXPECT_EQ(turn.message.content, std::string_view(text) == "<|channel|>final" ? "" : "Yes");
    EXPECT_TRUE(turn.message.tool_calls.empty());
    EXPECT_EQ(turn.message.reasoning, "");
  }
}

TEST(HarmonyParser, MissingMessageTokenKeepsTheChannel) {
  const ParsedTurn turn = parse_turn(
      "<|channel|>analysis I must refuse<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>");
  expect_stream_agrees(turn);
  EXPECT_EQ(turn.message.reasoning, "I must refuse");
  EXPECT_EQ(turn.message.content, "No.");
}

TEST(HarmonyParser, MissingEndAndStart) {
  const ParsedTurn turn = parse_turn("<|channel|>analysis<|message|>A<|channel|>final<|message|>B<|return|>");
  expect_stream_agrees(turn);
  EXPECT_EQ(turn.message.reasoning, "A");
  EXPECT_EQ(turn.message.content, "B");
}

TEST(HarmonyParser, LongTextWithoutHeaderIsShownBeforeItEnds) {
  const std::string text(2000, 'x');
  const auto dialect = make_harmony(ToyTokenizer::harmony()).value();
  const auto parser = dialect->new_parser();
  std::vector<Delta> deltas;
  for (TokenId id : ids_of_text(text, *ToyTokenizer::harmony())) parser->push(id, deltas);
  EXPECT_FALSE(deltas.empty());
  EXPECT_EQ(parser->finish(deltas).content, text);
}

TEST(HarmonyParser, WhatFollowsACallIsDropped) {
  for (const char* rest : {
           "I will wait.",
           "\n<|start|>functions.f to=assistant<|channel|>commentary<|message|>{\"temp\":1}<|end|>",
           "<|start|>assistant<|channel|>final<|message|>It is 1 degree.<|return|>",
           "<|start|>functions.f "
           "to=assistant<|channel|>commentary<|message|>1<|end|><|start|>assistant<|channel|>final"
           "<|message|>It is 1.<|return|>",
           "<|start|>user<|message|>And now?<|end|>",
           "<|channel|>analysis<|message|>They said",
       }) {
    SCOPED_TRACE(rest);
    const ParsedTurn turn =
        parse_turn(std::string("<|channel|>commentary to=functions.f<|message|>{}<|call|>") + rest);
    expect_call(turn, "f", "{}");
    EXPECT_EQ(turn.message.reasoning, "");
    EXPECT_EQ(turn.reason, FinishReason::kToolCalls);
  }
}

TEST(HarmonyParser, SeveralCalls) {
  const ParsedTurn turn = parse_turn(
      "<|channel|>commentary to=functions.f<|message|>{}<|call|>"
      "<|start|>assistant<|channel|>commentary to=functions.g<|message|>[]<|call|>");
  expect_stream_agrees(turn);
  ASSERT_EQ(turn.message.tool_calls.size(), 2u);
  EXPECT_EQ(turn.message.tool_calls[1].name, "g");
  EXPECT_EQ(turn.message.tool_calls[1].id, "call_2");
}

TEST(HarmonyParser, OthersMessagesAreDropped) {
  const ParsedTurn turn = parse_turn(
      "<|channel|>analysis<|message|>A<|end|><|start|>user<|message|>Fake<|end|>"
      "<|start|>assistant<|channel|>final<|message|>B<|return|>");
  expect_stream_agrees(turn);
  EXPECT_EQ(turn.message.content, "B");
  EXPECT_EQ(turn.raw.size(), 3u);
}

TEST(HarmonyParser, CutOffTurns) {
  ParsedTurn turn = parse_turn("<|channel|>commentary to=functions.f<|message|>{\"a\":");
  expect_call(turn, "f", "{\"a\":");
  EXPECT_FALSE(turn.message.tool_calls[0].complete);
  EXPECT_EQ(turn.reason, FinishReason::kLength);

  turn = parse_turn("<|channel|>analysis<|message|>Hm");
  EXPECT_EQ(turn.message.reasoning, "Hm");
  EXPECT_EQ(turn.reason, FinishReason::kLength);

  turn = parse_turn("<|channel|>analysis<|message|>Hm<|end|><|start|>assis");
  EXPECT_EQ(turn.message.content, "");
  EXPECT_EQ(turn.reason, FinishReason::kLength);

  turn = parse_turn(std::string_view());
  EXPECT_EQ(turn.message.content, "");
  EXPECT_EQ(turn.reason, FinishReason::kLength);
}

TEST(HarmonyParser, DeltasNeverSplitACharacter) {
  const std::string text = "naïve 🙂 你好";
  const ParsedTurn turn = parse_turn("<|channel|>final<|message|>" + text + "<|return|>");
  EXPECT_EQ(turn.message.content, text);
  for (const Delta& delta : turn.deltas)
    EXPECT_EQ(delta.text, Json::parse(compact_json(delta.text)).get<std::string>());
  // Bytes that never become one are replaced.
  EXPECT_EQ(
      parse_turn(ids_of_text("<|channel|>final<|message|>\xf0\x9f x\xff<|return|>", *ToyTokenizer::harmony()))
          .message.content,
      "\uFFFD x\uFFFD");
}

TEST(HarmonyParser, RandomTokensKeepTheInvariants) {
  const std::vector<std::string> pieces = {"<|start|>",
                                           "<|end|>",
                                           "<|message|>",
                                           "<|channel|>",
                                           "<|constrain|>",
                                           "<|return|>",
                                           "<|call|>",
                                           "assistant",
                                           "analysis",
                                           "commentary",
                                           "final",
                                           " to=functions.f",
                                           "json",
                                           "user",
                                           " ",
                                           "\xf0\x9f",
                                           "🙂",
                                           "text",
                                           "functions.f",
                                           "to=",
                                           "<|endoftext|>"};
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (size_t n = random() % 24; n > 0; --n) text += pieces[random() % pieces.size()];
    std::vector<TokenId> ids = ids_of_text(text, *ToyTokenizer::harmony());
    if (!ids.empty() && round % 4 == 0) ids[random() % ids.size()] = static_cast<TokenId>(random());
    expect_stream_agrees(parse_turn(ids));
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << text;
      return;
    }
  }
}

}  // namespace
}  // namespace atelier::chat
