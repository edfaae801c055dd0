// ChatML, Llama 3 and plain: rendering against transformers (tools/chat_goldens.py), parsing, continuation.
#include <gtest/gtest.h>

#include "chat/chatml.h"
#include "chat/completions_body.h"
#include "tests/chat/golden_parts.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

constexpr const char* kGoldens = ATELIER_TEST_DATA "/chat/templates.jsonl";
// As much of the publishers' templates as tells them apart.
constexpr std::string_view kQwen =
    "{{- '<|im_start|>system\\n' }}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\\n' }}";
constexpr std::string_view kLlama3 = "{{ '<|start_header_id|>' + role }}";
constexpr std::string_view kLlama31 =
    "{{ '<|start_header_id|>' }}{{- \"Cutting Knowledge Date: December 2023\\n\" }}";

std::string smollm2_template() { return read_json_lines(kGoldens)[0]["text"]; }

std::unique_ptr<Dialect> dialect(std::string_view name) {
  if (name == "plain") return dialect_for("gpt2", ToyTokenizer::plain(), "").value();
  if (name == "smollm2") return dialect_for("llama", ToyTokenizer::chatml(), smollm2_template()).value();
  if (name == "qwen25") return dialect_for("qwen2", ToyTokenizer::chatml(), kQwen).value();
  return dialect_for("llama", ToyTokenizer::llama3(), name == "llama31" ? kLlama31 : kLlama3).value();
}

std::string check(const Json& golden) {
  const auto speaker = dialect(golden["template"].get<std::string>());
  const auto conversation = parse_completions_body(golden["body"]);
  if (!conversation) return conversation.error().message;
  const auto prompt = speaker->render(*conversation);
  if (!prompt) return prompt.error().message;
  const Json found = parts_of(prompt->encode(speaker->tokenizer()), speaker->tokenizer());
  if (found == golden["parts"]) return {};
  return "expected " + golden["parts"].dump() + "\nfound    " + found.dump();
}

struct Turn {
  Message message;
  std::vector<Delta> deltas;
  FinishReason reason;
};

Turn parse(std::string_view name, std::string_view text, const ParserOptions& options = {}) {
  const auto speaker = dialect(name);
  const auto parser = speaker->new_parser(options);
  Turn turn;
  for (TokenId id : ids_of_text(text, speaker->tokenizer())) parser->push(id, turn.deltas);
  turn.message = parser->finish(turn.deltas);
  turn.reason = parser->finish_reason();
  return turn;
}

TEST(ChatGoldens, SameAsTransformers) {
  const std::vector<Json> goldens = read_json_lines(kGoldens);
  ASSERT_GE(goldens.size(), 101u);
  for (size_t i = 1; i < goldens.size(); ++i)
    EXPECT_EQ(check(goldens[i]), "") << kGoldens << " line " << i + 1;
}

TEST(ChatGoldens, WrongDataFails) {
  const std::vector<Json> goldens = read_json_lines(kGoldens);
  for (size_t i = 1; i < goldens.size(); ++i) {
    Json golden = goldens[i];
    golden["parts"].back() = golden["parts"].back().get<std::string>() + " ";
    EXPECT_NE(check(golden), "");
  }
}

TEST(Dialects, AreChosenByTemplateAndArchitecture) {
  EXPECT_EQ(dialect("smollm2")->name(), "chatml");
  EXPECT_EQ(dialect("llama31")->name(), "llama3");
  EXPECT_EQ(dialect("plain")->name(), "plain");
  EXPECT_EQ(dialect_for("gpt-oss", ToyTokenizer::harmony(), "").value()->name(), "harmony");
  EXPECT_EQ(dialect_for("llama", ToyTokenizer::chatml(), "{{ '<|user|>' }}").value()->name(), "template");
  EXPECT_EQ(dialect_for("qwen3", ToyTokenizer::chatml(), "{{ '<|im_start|><think>' }}").value()->name(),
            "template");
  EXPECT_FALSE(dialect_for("llama", ToyTokenizer::chatml(), "{% no template %}"));
  const auto lacking = dialect_for("gpt-oss", ToyTokenizer::chatml(), "");
  ASSERT_FALSE(lacking);
  EXPECT_NE(lacking.error().message.find("<|start|>"), std::string::npos) << lacking.error().message;
}

TEST(Dialects, TypedControlTokensStayText) {
  for (const char* name : {"smollm2", "llama31", "llama3", "plain"}) {
    const auto speaker = dialect(name);
    const auto controls = [&](const char* text) {
      Conversation conversation;
      conversation.messages.push_back({.role = Role::kUser, .content = text});
      const auto ids = speaker->render(conversation)->encode(speaker->tokenizer());
      return std::ranges::count_if(ids, [&](TokenId id) { return speaker->tokenizer().is_special(id); });
    };
    EXPECT_EQ(controls("<|im_end|><|eot_id|><|endoftext|><|start_header_id|>"), controls("hello")) << name;
  }
}

TEST(Dialects, OnlyHarmonyHasBuiltinTools) {
  Conversation conversation;
  conversation.builtin_tools = {BuiltinTool::kPython};
  conversation.messages.push_back({.role = Role::kUser, .content = "x"});
  for (const char* name : {"smollm2", "llama31", "plain"})
    EXPECT_FALSE(dialect(name)->render(conversation)) << name;
}

// Kept ids plus continuation are what rendering everything afresh gives, with and without the stop token.
TEST(Dialects, ContinuationEqualsAFreshRendering) {
  for (const char* name : {"smollm2", "llama31", "llama3", "plain"}) {
    const auto speaker = dialect(name);
    const Tokenizer& tokenizer = speaker->tokenizer();
    for (bool stop : {true, false}) {
      Conversation conversation;
      conversation.messages.push_back({.role = Role::kSystem, .content = "Be brief."});
      conversation.messages.push_back({.role = Role::kUser, .content = "Hi"});
      std::vector<TokenId> history = speaker->render(conversation)->encode(tokenizer);
      const std::string_view answer = std::string_view(name) == "plain" ? " Hello." : "Hello.";
      tokenizer.encode(answer, Specials::kAsText, history);
      if (stop) history.push_back(speaker->stop_tokens().front());
      conversation.messages.push_back({.role = Role::kAssistant, .content = "Hello."});
      conversation.messages.push_back({.role = Role::kUser, .content = "Bye"});
      const auto next = speaker->render_continuation(history, conversation, 3);
      ASSERT_TRUE(next);
      history.resize(next->keep);
      history.insert(history.end(), next->append.begin(), next->append.end());
      EXPECT_EQ(tokenizer.decode(history), speaker->render(conversation)->to_text(tokenizer)) << name << stop;
    }
  }
}

TEST(Chatml, DefaultSystemIsReadFromTheTemplate) {
  EXPECT_EQ(default_system_of(smollm2_template()),
            "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  EXPECT_EQ(default_system_of(kQwen), "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
  EXPECT_EQ(default_system_of("{{ '<|im_start|>' + message.role }}"), "");
  EXPECT_EQ(default_system_of("<|im_start|>system\\nnever closed"), "");
}

TEST(Chatml, Answer) {
  const Turn turn = parse("smollm2", "4 <tool\n<|im_end|>ignored");
  EXPECT_EQ(turn.message.content, "4 <tool\n");
  EXPECT_EQ(turn.reason, FinishReason::kStop);
  EXPECT_EQ(parse("smollm2", "cut").reason, FinishReason::kLength);
}

TEST(Chatml, ToolCalls) {
  const Turn turn =
      parse("smollm2",
            "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1.0}}\n</tool_call>\n"
            "<tool_call>{\"name\": \"g\", \"arguments\": \"{}\"}</tool_call><|im_end|>");
  EXPECT_EQ(turn.message.content, "Let me see.");
  ASSERT_EQ(turn.message.tool_calls.size(), 2u);
  EXPECT_EQ(turn.message.tool_calls[0].name, "f");
  EXPECT_EQ(turn.message.tool_calls[0].arguments, "{\"a\":1.0}");
  EXPECT_EQ(turn.message.tool_calls[1].arguments, "{}");
  EXPECT_EQ(turn.message.tool_calls[1].id, "call_2");
  EXPECT_EQ(turn.reason, FinishReason::kToolCalls);
}

TEST(Chatml, ToolCallsAsModelsWriteThem) {
  for (const char* text : {"<tool_call>{\"name\":\"f\",\"arguments\":{}}",
                           "<tool_call>[{\"name\":\"f\",\"arguments\":{}}]</tool_call>",
                           "<tool_call>{\"name\":\"f\",\"parameters\":{}}</tool_call>\n"}) {
    const Turn turn = parse("smollm2", text);
    ASSERT_EQ(turn.message.tool_calls.size(), 1u) << text;
    EXPECT_EQ(turn.message.tool_calls[0].name, "f");
    EXPECT_EQ(turn.message.content, "");
  }
  // What is no call is not lost.
  for (const char* text : {"<tool_call>nonsense", "<tool_call>{\"name\":\"f\"}", "a <tool_ca"})
    EXPECT_EQ(parse("smollm2", text).message.content, text);
  EXPECT_EQ(parse("smollm2", "<tool_call>" + std::string(1'000'000, '[')).message.tool_calls.size(), 0u);
  // A call that a limit cut off is one as far as it goes, and no text.
  for (const auto& [text, name, arguments] :
       {std::tuple("<tool_call>\n{\"na", "", ""), std::tuple("<tool_call>\n{\"name\": \"f", "", ""),
        std::tuple("<tool_call>\n{\"name\": \"f\", \"arg", "f", ""),
        std::tuple("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b", "f", "{\"a\": \"b")}) {
    const Turn turn = parse("smollm2", text);
    EXPECT_EQ(turn.message.content, "") << text;
    EXPECT_EQ(turn.reason, FinishReason::kLength);
    ASSERT_EQ(turn.message.tool_calls.size(), *name == '\0' ? 0u : 1u) << text;
    if (*name == '\0') continue;
    EXPECT_EQ(turn.message.tool_calls[0].name, name);
    EXPECT_EQ(turn.message.tool_calls[0].arguments, arguments);
    EXPECT_FALSE(turn.message.tool_calls[0].complete);
  }
  // The model's own end makes it text all the same.
  EXPECT_EQ(parse("smollm2", "<tool_call>{\"name\": \"f<|im_end|>").message.content,
            "<tool_call>{\"name\": \"f");
  const ParserOptions no_tools{false, 0};
  EXPECT_EQ(
      parse("smollm2", "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", no_tools).message.content,
      "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>");
}

TEST(Llama3, ToolCalls) {
  for (const char* text : {"{\"name\": \"f\", \"parameters\": {\"a\": 1}}<|eot_id|>",
                           "<|python_tag|>{\"name\": \"f\", \"parameters\": {\"a\": 1}}<|eom_id|>",
                           "\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}<|eot_id|>"}) {
    const Turn turn = parse("llama31", text);
    ASSERT_EQ(turn.message.tool_calls.size(), 1u) << text;
    EXPECT_EQ(turn.message.tool_calls[0].name, "f");
    EXPECT_EQ(turn.message.tool_calls[0].arguments, "{\"a\":1}");
    EXPECT_EQ(turn.message.content, "");
    EXPECT_EQ(turn.reason, FinishReason::kToolCalls);
  }
  EXPECT_EQ(parse("llama31", "{\"name\":\"f\",\"parameters\":{}}; {\"name\":\"g\",\"parameters\":{}}")
                .message.tool_calls.size(),
            2u);
  for (const char* text : {"{\"answer\": 42}", "{broken", "I call {\"name\":\"f\",\"parameters\":{}}"}) {
    EXPECT_EQ(parse("llama31", text).message.content, text);
    EXPECT_TRUE(parse("llama31", text).message.tool_calls.empty());
  }
}

TEST(Llama3, DateOfTheConversation) {
  Conversation conversation;
  conversation.date = "2025-06-28";
  const auto speaker = dialect("llama31");
  const std::string text = speaker->render(conversation)->to_text(speaker->tokenizer());
  EXPECT_NE(text.find("Today Date: 28 Jun 2025\n\n"), std::string::npos);
}

TEST(Plain, RendersADialogueAndStopsAtTheUsersLine) {
  Conversation conversation;
  conversation.messages.push_back({.role = Role::kSystem, .content = "A quiz."});
  conversation.messages.push_back({.role = Role::kUser, .content = "Hi"});
  const auto speaker = dialect("plain");
  EXPECT_EQ(speaker->render(conversation)->to_text(speaker->tokenizer()), "A quiz.\n\nUser: Hi\nAssistant:");
  const Turn turn = parse("plain", " Hello\nthere.\nUser: And");
  EXPECT_EQ(turn.message.content, "Hello\nthere.");
  EXPECT_EQ(turn.reason, FinishReason::kStop);
  EXPECT_EQ(parse("plain", " Hello\nUse").message.content, "Hello\nUse");

  std::vector<TokenId> history = speaker->render(conversation)->encode(speaker->tokenizer());
  speaker->tokenizer().encode(" Hello\nUser:", Specials::kAsText, history);
  conversation.messages.push_back({.role = Role::kAssistant, .content = "Hello"});
  conversation.messages.push_back({.role = Role::kUser, .content = "Bye"});
  const auto next = speaker->render_continuation(history, conversation, 3);
  EXPECT_EQ(next->keep, history.size());
  EXPECT_EQ(speaker->tokenizer().decode(next->append), " Bye\nAssistant:");
}

}  // namespace
}  // namespace atelier::chat
