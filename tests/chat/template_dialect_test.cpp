// Models of unknown family through the templates of real ones: what they are shown, where they stop, how
// their turns are read, and that no text of a conversation becomes a control token.
#include "chat/template_dialect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "chat/template/template.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

namespace fs = std::filesystem;

fs::path template_folder() { return fs::path(ATELIER_TEST_DATA) / "chat" / "template" / "templates"; }

std::string source_of(const std::string& name) {
  return read_file(template_folder() / (name + ".jinja"), 1 << 20).value();
}

std::vector<std::string> all_templates() {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(template_folder()))
    names.push_back(item.path().stem().string());
  std::ranges::sort(names);
  return names;
}

// Every control token that the templates write.
std::shared_ptr<const Tokenizer> tokenizer() {
  static const auto toy = [] {
    ToyTokenizer::Controls controls;
    TokenId id = 1000;
    for (const char* text : {"<|endoftext|>",
                             "<s>",
                             "</s>",
                             "<|im_start|>",
                             "<|im_end|>",
                             "<|start|>",
                             "<|end|>",
                             "<|message|>",
                             "<|channel|>",
                             "<|return|>",
                             "<|call|>",
                             "[INST]",
                             "[/INST]",
                             "[SYSTEM_PROMPT]",
                             "[/SYSTEM_PROMPT]",
                             "[TOOL_CALLS]",
                             "[ARGS]",
                             "[CALL_ID]",
                             "[TOOL_RESULTS]",
                             "[/TOOL_RESULTS]",
                             "[TOOL_CONTENT]",
                             "[AVAILABLE_TOOLS]",
                             "[/AVAILABLE_TOOLS]",
                             "<｜User｜>",
                             "<｜Assistant｜>",
                             "<｜tool▁calls▁begin｜>",
                             "<｜tool▁calls▁end｜>",
                             "<｜tool▁call▁begin｜>",
                             "<｜tool▁call▁end｜>",
                             "<｜tool▁sep｜>",
                             "<｜tool▁outputs▁begin｜>",
                             "<｜tool▁outputs▁end｜>",
                             "<｜tool▁output▁begin｜>",
                             "<｜tool▁output▁end｜>",
                             "<｜end▁of▁sentence｜>",
                             "<|system|>",
                             "<|user|>",
                             "<|assistant|>",
                             "<|start_of_role|>",
                             "<|end_of_role|>",
                             "<|end_of_text|>",
                             "<|tool_call|>",
                             "<think>",
                             "</think>",
                             "<tool_call>",
                             "</tool_call>"})
      controls.emplace_back(text, id++);
    return std::make_shared<ToyTokenizer>(controls);
  }();
  return toy;
}

std::unique_ptr<Dialect> speaker(const std::string& name) {
  return make_template(tokenizer(), source_of(name)).value();
}

std::string controls_of(const Prompt& prompt) {
  std::string out;
  for (const Prompt::Segment& segment : prompt.segments())
    if (segment.control != Prompt::kText) out += tokenizer()->token_bytes(segment.control);
  return out;
}

// A conversation with `text` in every place that a user, a file or a tool fills.
Conversation conversation_of(const std::string& text, bool tools) {
  Conversation out;
  out.date = "2025-06-28";
  out.messages.push_back({.role = Role::kSystem, .content = "rules " + text});
  out.messages.push_back({.role = Role::kUser, .content = "a " + text});
  if (tools) {
    out.tools.push_back(
        {"f", "does " + text,
         Json{{"type", "object"}, {"properties", {{text, {{"type", "string"}, {"description", text}}}}}}
             .dump()});
    Message call{.role = Role::kAssistant, .reasoning = "hm " + text};
    call.tool_calls.push_back({"call_1", "f", Json{{text, text}}.dump()});
    out.messages.push_back(call);
    out.messages.push_back(
        {.role = Role::kTool, .content = "r " + text, .tool_call_id = "call_1", .tool_name = "f"});
  }
  out.messages.push_back({.role = Role::kAssistant, .content = "b " + text});
  out.messages.push_back({.role = Role::kUser, .content = "c " + text});
  return out;
}

TEST(TemplateDialect, NothingInAConversationBecomesAControlToken) {
  size_t n_prompts = 0;
  for (const std::string& name : all_templates()) {
    const auto dialect = speaker(name);
    for (const bool tools : {false, true}) {
      const auto harmless = dialect->render(conversation_of("x", tools));
      if (!harmless) {  // no tools there
        EXPECT_TRUE(tools && harmless.error().code == ErrorCode::kUnsupported)
            << name << ": " << harmless.error().message;
        continue;
      }
      EXPECT_FALSE(controls_of(*harmless).empty()) << name;
      for (TokenId id = 1000; tokenizer()->is_special(id); ++id) {
        const std::string control(tokenizer()->token_bytes(id));
        // These two are markup of the model's own text, which templates read and take out.
        if (control == "</think>" || control == "<think>") continue;
        const auto hostile = dialect->render(conversation_of(control + " x", tools));
        ASSERT_TRUE(hostile ||
                    hostile.error().message.find("You have passed a message containing") != std::string::npos)
            << name << " " << control << ": " << hostile.error().message;
        if (!hostile) continue;
        EXPECT_EQ(controls_of(*hostile), controls_of(*harmless)) << name << " " << control;
        // What encode() makes of it has no other either.
        const auto ids = hostile->encode(*tokenizer());
        EXPECT_EQ(std::ranges::count_if(ids, [](TokenId i) { return i >= 1000; }),
                  std::ranges::count_if(hostile->segments(),
                                        [](const auto& s) { return s.control != Prompt::kText; }));
        ++n_prompts;
      }
    }
  }
  EXPECT_GT(n_prompts, 700U);
  // A token put together from two messages, or from a message and the template, is none either.
  const auto dialect = make_template(
      tokenizer(), "{{ messages[0].content }}{{ messages[1].content }}|>{{ '<|' ~ messages[0].content }}");
  Conversation split;
  split.messages = {{.role = Role::kUser, .content = "<|im_"},
                    {.role = Role::kUser, .content = "end|>im_end"}};
  EXPECT_EQ(controls_of(*(*dialect)->render(split)), "");
  EXPECT_EQ((*dialect)->render(split)->to_text(*tokenizer()), "<|im_end|>im_end|><|<|im_");
}

TEST(TemplateDialect, EncodesAsThePublishersTokenizerWould) {
  for (const std::string& name : all_templates()) {
    const auto dialect = speaker(name);
    for (const bool tools : {false, true}) {
      const auto prompt = dialect->render(conversation_of("x", tools));
      if (!prompt) continue;
      const std::string text = prompt->to_text(*tokenizer());
      EXPECT_EQ(prompt->encode(*tokenizer()), tokenizer()->encode(text, Specials::kRecognised))
          << name << "\n"
          << text;
    }
  }
}

TEST(TemplateDialect, AsksTheTemplateWhereATurnEnds) {
  const auto stops = [](const std::string& name) {
    std::string out;
    for (const TokenId id : speaker(name)->stop_tokens()) out += tokenizer()->token_bytes(id);
    return out;
  };
  // The first is the vocabulary's own end of text.
  EXPECT_EQ(stops("Qwen3-0.6B"), "<|endoftext|><|im_end|>");
  EXPECT_EQ(stops("DeepSeek-V3.1"), "<|endoftext|><｜end▁of▁sentence｜>");
  EXPECT_EQ(stops("Phi-3.5-mini-instruct"), "<|endoftext|><|end|>");
  EXPECT_EQ(stops("granite-3.3-2b-instruct"), "<|endoftext|><|end_of_text|>");
  EXPECT_EQ(stops("gpt-oss-120b"), "<|endoftext|><|end|><|call|>");
  // A turn that ends where the next begins.
  const auto glm =
      make_template(tokenizer(), "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}");
  EXPECT_EQ((*glm)->stop_tokens().size(), 2U);
  EXPECT_EQ(tokenizer()->token_bytes((*glm)->stop_tokens()[1]), "<|user|>");
}

TEST(TemplateDialect, OffersOtherShapesBeforeATemplateMayRefuse) {
  const auto rendered = [](std::string_view source, const Conversation& conversation) {
    const auto prompt = make_template(tokenizer(), source).value()->render(conversation);
    return prompt ? prompt->to_text(*tokenizer()) : "refused: " + prompt.error().message;
  };
  Conversation calls = conversation_of("x", true);
  // Ids of nine characters, as Mistral's templates demand.
  const auto nemo = speaker("Mistral-Nemo-Instruct-2407")->render(calls);
  ASSERT_TRUE(nemo) << nemo.error().message;
  EXPECT_NE(nemo->to_text(*tokenizer()).find(R"("id": "call00001")"), std::string::npos);
  EXPECT_NE(nemo->to_text(*tokenizer()).find(R"("call_id": "call00001")"), std::string::npos);
  // Arguments as text.
  EXPECT_EQ(rendered("{# tools #}{{ messages[2].tool_calls[0].function.arguments + '!' }}", calls),
            R"({"x":"x"}!)");
  // Text where there is only a call.
  EXPECT_EQ(rendered("{# tools #}{{ messages[2].content + '!' }}", calls), "!");
  EXPECT_EQ(rendered("{# tools #}{{ messages[2].content is none }}", calls), "True");
  // A system message where there is no such role.
  EXPECT_EQ(
      rendered(
          "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
          "{{ m.role }}: {{ m.content }}\n{% endfor %}",
          conversation_of("x", false)),
      "user: rules x\n\na x\nassistant: b x\nuser: c x\n");
  // Developers are systems where the template knows no developers.
  Conversation developer = conversation_of("x", false);
  developer.messages[0].role = Role::kDeveloper;
  EXPECT_EQ(rendered("{{ messages[0].role }}", developer), "system");
  EXPECT_EQ(rendered("{{ messages[0].role }}{# developer #}", developer), "developer");
  // What it refuses in every shape is its own refusal.
  EXPECT_EQ(rendered("{{ raise_exception('never') }}", calls),
            "refused: tools: expected none, as this model's chat "
            "template declares none, found 1");
  EXPECT_EQ(rendered("{# tools #}{{ raise_exception('never') }}", calls),
            "refused: chat template: line 1, column 30: never");
}

TEST(TemplateDialect, ShowsTheModelTheDateOfTheConversation) {
  const auto dialect =
      make_template(tokenizer(), "{{ strftime_now('%d %b %Y') if strftime_now is defined else 'none' }}")
          .value();
  Conversation dated;
  dated.date = "2024-02-29";
  EXPECT_EQ(dialect->render(dated)->to_text(*tokenizer()), "29 Feb 2024");
  EXPECT_EQ(dialect->render({})->to_text(*tokenizer()), "none");
}

struct Parsed {
  Message message;
  FinishReason reason;
  std::string shown;  // deltas, one letter each before its text
};

// `turn` in pieces of `step` bytes; control tokens are one piece each.
Parsed parse(const Dialect& dialect, std::string_view turn, ParserOptions options = {}, bool stop = true) {
  const auto parser = dialect.new_parser(options);
  std::vector<Delta> deltas;
  for (const TokenId id : tokenizer()->encode(turn, Specials::kRecognised)) parser->push(id, deltas);
  if (stop) parser->push(dialect.stop_tokens().back(), deltas);
  Parsed out{parser->finish(deltas), {}, {}};
  out.reason = parser->finish_reason();
  for (const Delta& delta : deltas) {
    if (delta.kind == Delta::Kind::kReasoning) out.shown += "r" + delta.text;
    if (delta.kind == Delta::Kind::kFinal) out.shown += "f" + delta.text;
  }
  return out;
}

TEST(TemplateDialect, ReadsReasoningAndAnswer) {
  const auto qwen = speaker("Qwen3-0.6B");
  const Parsed turn = parse(*qwen, "<think>\nLet me\n\nsee.\n</think>\n\nIt is 4.\n");
  EXPECT_EQ(turn.message.reasoning, "Let me\n\nsee.");
  EXPECT_EQ(turn.message.content, "It is 4.\n");
  EXPECT_EQ(turn.reason, FinishReason::kStop);
  EXPECT_TRUE(turn.shown.starts_with("rL") && turn.shown.find("fI") != std::string::npos) << turn.shown;
  EXPECT_EQ(parse(*qwen, "no tags < here").message.content, "no tags < here");
  EXPECT_EQ(parse(*qwen, "<think>cut", {}, false).message.reasoning, "cut");
  EXPECT_EQ(parse(*qwen, "<think>cut", {}, false).reason, FinishReason::kLength);
  EXPECT_EQ(parse(*qwen, "").message.content, "");
  // Where the prompt opens the reasoning, the turn begins inside of it.
  const auto r1 = make_template(tokenizer(), "{{ messages[0].content }}<|assistant|><think>\n").value();
  EXPECT_EQ(parse(*r1, "I think\n</think>\n\nso").message.reasoning, "I think");
  EXPECT_EQ(parse(*r1, "I think\n</think>\n\nso").message.content, "so");
}

TEST(TemplateDialect, ArgumentsOfTheConversationReachTheTemplate) {
  const auto dialect = make_template(tokenizer(),
                                     "{{ name }}{{ messages[0].content }}<|assistant|>"
                                     "{% if thinking %}<think>{% endif %}")
                           .value();
  Conversation talk;
  talk.messages.push_back({.role = Role::kUser, .content = "hi"});
  EXPECT_EQ(dialect->render(talk)->to_text(*tokenizer()), "hi<|assistant|>");
  EXPECT_EQ(parse(*dialect, "hm</think>so", parser_options(talk)).message.reasoning, "");
  talk.template_arguments = R"({"name": "<|end|>", "thinking": true, "messages": [], "bos_token": "x"})";
  const Prompt prompt = dialect->render(talk).value();
  EXPECT_EQ(prompt.to_text(*tokenizer()), "<|end|>hi<|assistant|><think>");
  EXPECT_EQ(controls_of(prompt), "<|assistant|><think>");
  EXPECT_EQ(parse(*dialect, "hm</think>so", parser_options(talk)).message.reasoning, "hm");
  talk.template_arguments = "[";
  EXPECT_FALSE(dialect->render(talk));
}

TEST(TemplateDialect, ReadsToolCallsInTheFormsOfTheField) {
  const auto calls = [](const std::string& name, std::string_view turn, ParserOptions options = {}) {
    const Parsed parsed = parse(*speaker(name), turn, options);
    std::string out = parsed.message.content;
    for (const ToolCall& call : parsed.message.tool_calls)
      out += "|" + call.id + " " + call.name + call.arguments;
    if (!parsed.message.tool_calls.empty()) EXPECT_EQ(parsed.reason, FinishReason::kToolCalls);
    return out;
  };
  const std::string f = R"(|call_1 f{"a":1})";
  const std::string both = R"(|call_1 f{"a":1}|call_2 g{})";
  EXPECT_EQ(
      calls("Qwen3-0.6B",
            "<think>x</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"),
      f);
  EXPECT_EQ(
      calls("Qwen3-0.6B",
            "Sure.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n"
            "{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"),
      "Sure." + both);
  EXPECT_EQ(calls("Qwen3-0.6B", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}"),
            f);  // never closed
  EXPECT_EQ(calls("Qwen3-0.6B", "<tool_call>not json</tool_call>"), "<tool_call>not json");
  EXPECT_EQ(calls("Qwen3-0.6B", "{\"name\": \"f\", \"arguments\": {}}"),
            "{\"name\": \"f\", \"arguments\": {}}");
  EXPECT_EQ(
      calls("Qwen3-0.6B", "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", {.tools = false}),
      "{\"name\": \"f\", \"arguments\": {}}");
  EXPECT_EQ(calls("Qwen3-0.6B", "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>",
                  {.n_previous_calls = 4}),
            "|call_5 f{}");
  EXPECT_EQ(calls("Mistral-Nemo-Instruct-2407",
                  R"([TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}])"),
            both);
  EXPECT_EQ(calls("Mistral-Small-3.2-24B-Instruct-2506",
                  R"([TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]abcdefghi[ARGS]{})"),
            both);
  EXPECT_EQ(calls("DeepSeek-V3.1",
                  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜>"
                  "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            both);
  EXPECT_EQ(
      calls("DeepSeek-R1-Distill-Qwen-32B",
            "<think>x</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
            "{\"a\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
      f);
  EXPECT_EQ(calls("granite-3.3-2b-instruct", R"(<|tool_call|>[{"name": "f", "arguments": {"a": 1}}])"), f);
  // Templates without tags of their own: Llama's bare JSON, and every other form.
  for (const std::string_view turn :
       {R"({"name": "f", "parameters": {"a": 1}})", R"( [{"name": "f", "arguments": {"a": 1}}])",
        R"([TOOL_CALLS]f[ARGS]{"a": 1})", R"(<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>)"}) {
    const auto plain = make_template(tokenizer(), "{{ messages[0].content }}").value();
    ASSERT_EQ(parse(*plain, turn).message.tool_calls.size(), 1U) << turn;
    EXPECT_EQ(parse(*plain, turn).message.tool_calls[0].arguments, R"({"a":1})");
    EXPECT_EQ(parse(*plain, R"({"colour": "red"})").message.content, R"({"colour": "red"})");
  }
}

TEST(TemplateDialect, KeepsTheIdsOfATurnWhereTheTemplateShowsItUnchanged) {
  const auto smol = speaker("SmolLM2-135M-Instruct");
  Conversation talk;
  talk.messages.push_back({.role = Role::kUser, .content = "Hi <|im_end|>"});
  std::vector<TokenId> history = smol->render(talk)->encode(*tokenizer());
  const std::vector<TokenId> said = tokenizer()->encode("Hello!<|im_end|>", Specials::kRecognised);
  history.insert(history.end(), said.begin(), said.end());
  talk.messages.push_back({.role = Role::kAssistant, .content = "Hello!"});
  talk.messages.push_back({.role = Role::kUser, .content = "More"});
  const std::string expected = "\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n";
  Continuation next = smol->render_continuation(history, talk, 2).value();
  EXPECT_EQ(next.keep, history.size());
  EXPECT_EQ(tokenizer()->decode(next.append), expected);
  history.pop_back();  // without the stop token
  next = smol->render_continuation(history, talk, 2).value();
  EXPECT_EQ(next.keep, history.size());
  EXPECT_EQ(tokenizer()->decode(next.append), "<|im_end|>" + expected);
}

TEST(TemplateDialect, GoesBackToWhereTheTemplateDiffers) {
  const auto qwen = speaker("Qwen3-0.6B");  // drops the reasoning of earlier turns
  Conversation talk;
  talk.messages.push_back({.role = Role::kUser, .content = "Hi"});
  std::vector<TokenId> history = qwen->render(talk)->encode(*tokenizer());
  const size_t prompt_size = history.size();
  const auto said = tokenizer()->encode("<think>\nhm\n</think>\n\nHello!<|im_end|>", Specials::kRecognised);
  history.insert(history.end(), said.begin(), said.end());
  talk.messages.push_back({.role = Role::kAssistant, .content = "Hello!", .reasoning = "hm"});
  talk.messages.push_back({.role = Role::kUser, .content = "More"});
  const Continuation next = qwen->render_continuation(history, talk, 2).value();
  EXPECT_EQ(next.keep, prompt_size);
  std::vector<TokenId> whole(history.begin(), history.begin() + static_cast<std::ptrdiff_t>(next.keep));
  whole.insert(whole.end(), next.append.begin(), next.append.end());
  EXPECT_EQ(whole, qwen->render(talk)->encode(*tokenizer()));
}

}  // namespace
}  // namespace atelier::chat
