#include "chat/completions_body.h"

#include <gtest/gtest.h>

namespace atelier::chat {
namespace {

Result<Conversation> parse_body(std::string_view text) { return parse_completions_body(text); }

TEST(CompletionsBody, ReadsEverything) {
  const auto conversation = parse_body(R"({
    "model": "x", "temperature": 0.5,
    "messages": [
      {"role": "developer", "content": "D"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
      {"role": "assistant", "content": "First", "reasoning_content": "R",
       "tool_calls": [{"id": "c9", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
                      {"id": "c10", "type": "function", "function": {"name": "g", "arguments": {"b": 2.0}}}]},
      {"role": "tool", "tool_call_id": "c10", "content": "2"},
      {"role": "tool", "tool_call_id": "c9", "content": [{"type": "text", "text": "1"}]},
      {"role": "assistant", "content": "Done", "thinking": "T"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": null, "parameters": {"z": 1, "a": 2}}},
              {"type": "function", "function": {"name": "g"}}, {"type": "python"}],
    "tool_choice": {"type": "function", "function": {"name": "g"}},
    "reasoning_effort": "high",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "chat_template_kwargs": {"builtin_tools": ["browser", "python"], "conversation_start_date": "2025-06-28",
                             "enable_thinking": false, "x": [1.0]}})");
  ASSERT_TRUE(conversation) << conversation.error().message;
  const auto& messages = conversation->messages;
  ASSERT_EQ(messages.size(), 6u);
  EXPECT_EQ(conversation->template_arguments, R"({"enable_thinking":false,"x":[1.0]})");
  EXPECT_EQ(messages[0].role, Role::kDeveloper);
  EXPECT_EQ(messages[1].content, "ab");
  EXPECT_EQ(messages[2].preamble, "First");
  EXPECT_EQ(messages[2].content, "");
  EXPECT_EQ(messages[2].reasoning, "R");
  ASSERT_EQ(messages[2].tool_calls.size(), 2u);
  EXPECT_EQ(messages[2].tool_calls[0].arguments, "{\"a\": 1}");
  EXPECT_EQ(messages[2].tool_calls[1].arguments, "{\"b\":2.0}");
  EXPECT_EQ(messages[3].tool_name, "g");
  EXPECT_EQ(messages[4].tool_name, "f");
  EXPECT_EQ(messages[5].reasoning, "T");
  EXPECT_EQ(conversation->tools[0].parameters, "{\"z\":1,\"a\":2}");
  EXPECT_EQ(conversation->tools[1].parameters, "");
  EXPECT_EQ(conversation->builtin_tools, (std::vector{BuiltinTool::kPython, BuiltinTool::kBrowser}));
  EXPECT_EQ(conversation->tool_choice.name, "g");
  EXPECT_EQ(conversation->reasoning_effort, ReasoningEffort::kHigh);
  EXPECT_EQ(conversation->response_format.schema, "{\"type\":\"object\"}");
  EXPECT_EQ(conversation->date, "2025-06-28");
}

TEST(CompletionsBody, ErrorsNamePathExpectedAndFound) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "body: expected an object, found array"},
      {"{\"messages\"", "body: expected JSON, found an error at byte 12"},
      {"{}", "messages: expected an array, found nothing"},
      {R"({"messages": []})", "messages: expected at least one, found none"},
      {R"({"messages": [3]})", "messages[0]: expected an object, found number"},
      {R"({"messages": [{"role": "me", "content": ""}]})",
       "messages[0].role: expected system, developer, user, assistant or tool, found \"me\""},
      {R"({"messages": [{"role": "user", "content": 7}]})",
       "messages[0].content: expected a string or an array of parts, found number"},
      {R"({"messages": [{"role": "user"}]})",
       "messages[0].content: expected a string or an array of parts, found nothing"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "messages[0].content[0].type: expected \"text\", found \"image_url\""},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})",
       "messages[0].tool_calls[0].function: expected an object, found nothing"},
      {R"({"messages": [{"role": "tool", "tool_call_id": "zz", "content": "x"}]})",
       "messages[0].tool_call_id: expected the id of an earlier tool call, found \"zz\""},
      {R"({"messages": [{"role": "user", "content": ""}], "tools": [{"type": "function", "function": {"name": 1}}]})",
       "tools[0].function.name: expected a string, found number"},
      {R"({"messages": [{"role": "user", "content": ""}], "tools": [{"type": "function", "function": {"name": "f to=g"}}]})",
       "tools[0].function.name: expected 1 to 128 letters, digits, '_', '-' or '.', found \"f to=g\""},
      {R"({"messages": [{"role": "user", "content": ""}], "tools": [{"type": "function", "function": {"name": "f",
          "parameters": []}}]})",
       "tools[0].function.parameters: expected a JSON Schema object, found array"},
      {R"({"messages": [{"role": "user", "content": ""}], "reasoning_effort": "max"})",
       "body.reasoning_effort: expected low, medium or high, found \"max\""},
      {R"({"messages": [{"role": "user", "content": ""}], "tool_choice": {"function": {"name": "f"}}})",
       "tool_choice.function.name: expected the name of a declared tool, found \"f\""},
      {R"({"messages": [{"role": "user", "content": ""}], "response_format": {"type": "xml"}})",
       "response_format.type: expected text, json_object, json_schema, regex or grammar, found \"xml\""},
      {R"({"messages": [{"role": "user", "content": ""}], "chat_template_kwargs": {"builtin_tools": ["shell"]}})",
       "chat_template_kwargs.builtin_tools[0]: expected browser, python, container or repo_browser, found "
       "\"shell\""},
  };
  for (const auto& [body, message] : cases) {
    const auto conversation = parse_body(body);
    ASSERT_FALSE(conversation) << body;
    EXPECT_EQ(conversation.error().message, message);
  }
}

TEST(CompletionsBody, Limits) {
  const std::string message = R"({"role":"user","content":""})";
  std::string many = "{\"messages\":[" + message;
  for (size_t i = 0; i < kMaxMessages; ++i) many += "," + message;
  EXPECT_EQ(parse_body(many + "]}").error().code, ErrorCode::kLimit);

  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(parse_body("{\"messages\":[" + message + "],\"x\":" + deep + "}").error().code,
            ErrorCode::kLimit);
  EXPECT_FALSE(parse_body("{\"messages\":" + std::string(1'000'000, '[')));

  const std::string large(kMaxSchemaBytes, 'x');
  EXPECT_EQ(parse_body("{\"messages\":[" + message +
                       R"(],"tools":[{"type":"function","function":{"name":"f","parameters":{"d":")" + large +
                       "\"}}}]}")
                .error()
                .code,
            ErrorCode::kLimit);
}

TEST(JsonText, NumbersAndSpacing) {
  const Json value = Json::parse(
      R"({"a":[1.0,1e30,1e-7,0.1,-0.5,1e16,123456.75,1e-5,12345678901234567890],"b":{},"c":"é\n\u0001"})");
  EXPECT_EQ(compact_json(value),
            "{\"a\":[1.0,1e30,1e-7,0.1,-0.5,1e16,123456.75,0.00001,12345678901234567890],\"b\":{},\"c\":"
            "\"é\\n\\u0001\"}");
  EXPECT_EQ(python_json(value),
            "{\"a\": [1.0, 1e+30, 1e-07, 0.1, -0.5, 1e+16, 123456.75, 1e-05, 12345678901234567890], \"b\": "
            "{}, \"c\": "
            "\"é\\n\\u0001\"}");
  EXPECT_EQ(python_json(Json::parse(R"({"a":[1,{}]})"), 2), "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
}

}  // namespace
}  // namespace atelier::chat
