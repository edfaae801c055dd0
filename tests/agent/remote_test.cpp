// Requests to and answers from models behind a URL, without a network.
#include <gtest/gtest.h>

#include "agent/remote/completions_request.h"
#include "agent/remote/completions_stream.h"
#include "agent/remote/remote_speaker.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr std::string_view kAnswer =
    "HTTP noise that is no field\n"
    ": a comment\n"
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"Hm.\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"I l\xc3\xb6ok.\"}}]}\r\n\r\n"
    "data: "
    "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"x1\",\"function\":{\"name\":\"shell\","
    "\"arguments\":\"{\\\"a\"}}]}}]}\n\n"
    "data: "
    "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]}}]}"
    "\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"plan\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n"
    "data: [DONE]\n\n";

TEST(CompletionsStream, ReadsTheSameWhereverItIsCut) {
  for (size_t cut = 0; cut <= kAnswer.size(); ++cut) {
    std::string shown;
    size_t ended = 0;
    CompletionsStream stream(4, [&](const chat::Delta& delta) {
      shown += delta.text;
      ended += delta.kind == chat::Delta::Kind::kToolCallEnd ? 1 : 0;
    });
    ASSERT_TRUE(stream.push(kAnswer.substr(0, cut)));
    ASSERT_TRUE(stream.push(kAnswer.substr(cut)));
    EXPECT_TRUE(stream.ended());
    EXPECT_EQ(stream.finish_reason(), chat::FinishReason::kToolCalls);
    EXPECT_EQ(stream.usage().prompt_tokens, 9u);
    const chat::Message message = stream.take();
    EXPECT_EQ(message.reasoning, "Hm.");
    EXPECT_EQ(message.preamble, "I l\xc3\xb6ok.");
    EXPECT_EQ(message.content, "");
    ASSERT_EQ(message.tool_calls.size(), 2u);
    EXPECT_EQ(message.tool_calls[0].id, "x1");
    EXPECT_EQ(message.tool_calls[0].arguments, "{\"a\":1}");
    EXPECT_EQ(message.tool_calls[1].id, "call_6");
    EXPECT_EQ(message.tool_calls[1].arguments, "{}");
    EXPECT_TRUE(message.tool_calls[1].complete);
    EXPECT_EQ(ended, 2u);
    EXPECT_EQ(shown, "Hm.I l\xc3\xb6ok.{\"a\":1}");
  }
}

TEST(CompletionsStream, ACallThatWasCutOffIsMarked) {
  const size_t end = kAnswer.find("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1");
  CompletionsStream stream(0, nullptr);
  ASSERT_TRUE(stream.push(kAnswer.substr(0, end)));
  EXPECT_FALSE(stream.ended());
  const chat::Message message = stream.take();
  ASSERT_EQ(message.tool_calls.size(), 1u);
  EXPECT_FALSE(message.tool_calls[0].complete);
}

TEST(CompletionsStream, NonsenseIsAnErrorAndNoCrash) {
  for (const std::string_view bad :
       {"data: {\n", "data: nonsense\n", "data: {\"error\":{\"message\":\"no\"}}\n",
        "data: {\"error\":\"no\"}\n"}) {
    CompletionsStream stream(0, nullptr);
    EXPECT_FALSE(stream.push(bad)) << bad;
  }
  for (const std::string_view odd :
       {"data: []\n", "data: 3\n", "data: {\"choices\":3}\n", "data: {\"choices\":[3]}\n",
        "data: "
        "{\"choices\":[{\"delta\":{\"tool_calls\":[3,{\"index\":-1,\"function\":{\"arguments\":\"x\"}}]}}]}"
        "\n",
        "data: {\"choices\":[{\"delta\":{\"content\":7},\"finish_reason\":null}]}\n", "data:\n",
        "event: x\n"}) {
    CompletionsStream stream(0, nullptr);
    EXPECT_TRUE(stream.push(odd)) << odd;
    EXPECT_FALSE(stream.begun()) << odd;
  }
  CompletionsStream endless(0, nullptr);
  Status status;
  for (int i = 0; i < 10 && status; ++i) status = endless.push(std::string(1 << 20, 'x'));
  EXPECT_FALSE(status) << "a line without an end";
}

TEST(CompletionsStream, ErrorsAreOneLine) {
  EXPECT_EQ(error_text(R"({"error":{"message":"a\nb"}})"), "a b");
  EXPECT_EQ(error_text(R"({"message":"plain"})"), "plain");
  EXPECT_EQ(error_text("<html>"), "<html>");
  EXPECT_EQ(error_text(""), "no reason given");
}

TEST(CompletionsRequest, SaysWhatWasSaid) {
  chat::Conversation conversation;
  conversation.messages = {
      {.role = chat::Role::kSystem, .content = "Be brief."},
      {.role = chat::Role::kUser, .content = "Go \xff."},
      {.role = chat::Role::kAssistant,
       .reasoning = "hidden",
       .preamble = "I look.",
       .tool_calls = {{.id = "c1", .name = "shell", .arguments = "{\"command\": \"ls\"}"},
                      {.id = "c2", .name = "shell", .arguments = "{\"comm", .complete = false}}},
      {.role = chat::Role::kTool, .content = "a.txt", .tool_call_id = "c1", .tool_name = "shell"},
      {.role = chat::Role::kAssistant}};  // interrupted at once
  conversation.tools = {{.name = "shell", .description = "Runs.", .parameters = R"({"type":"object"})"}};
  const auto parsed =
      chat::parse_json(completions_request(conversation, {.model = "m", .max_tokens = 7}), "request");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Json& body = *parsed;
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["max_tokens"], 7);
  EXPECT_FALSE(body.contains("temperature"));
  ASSERT_EQ(body["messages"].size(), 4u);
  EXPECT_EQ(body["messages"][1]["content"], "Go \xef\xbf\xbd.");
  const Json& said = body["messages"][2];
  EXPECT_EQ(said["content"], "I look.");
  EXPECT_EQ(said["tool_calls"][0]["function"]["arguments"], "{\"command\": \"ls\"}");
  EXPECT_EQ(said["tool_calls"][1]["function"]["arguments"], "{}");
  EXPECT_EQ(body.dump().find("hidden"), std::string::npos);
  EXPECT_EQ(body["messages"][3]["tool_call_id"], "c1");
  EXPECT_EQ(body["tools"][0]["function"]["parameters"]["type"], "object");
}

TEST(RemoteSpeaker, KeysAreNotSentInTheClear) {
  EXPECT_TRUE(RemoteSpeaker::create({.url = "https://host.example/v1", .key = "k"}, {}));
  EXPECT_TRUE(RemoteSpeaker::create({.url = "http://127.0.0.1:8080/v1", .key = "k"}, {}));
  EXPECT_TRUE(RemoteSpeaker::create({.url = "http://host.example/v1"}, {}));
  EXPECT_FALSE(RemoteSpeaker::create({.url = "http://host.example/v1", .key = "k"}, {}));
  EXPECT_FALSE(RemoteSpeaker::create({.url = "file:///etc/passwd"}, {}));
  EXPECT_FALSE(RemoteSpeaker::create({.url = "https://user:pass@host.example/v1"}, {}));
}

}  // namespace
}  // namespace atelier::agent
