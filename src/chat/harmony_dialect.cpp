#include "chat/harmony_dialect.h"

#include <algorithm>

#include "chat/harmony_history.h"
#include "chat/harmony_mask.h"
#include "chat/harmony_parser.h"
#include "chat/json_text.h"

namespace atelier::chat {
namespace harmony {
namespace {

bool is_instruction(const chat::Message& message) {
  return message.role == Role::kSystem || message.role == Role::kDeveloper;
}

bool is_builtin(const Conversation& conversation, std::string_view tool) {
  const std::string_view space = tool.substr(0, tool.find('.'));
  return std::ranges::any_of(conversation.builtin_tools,
                             [&](BuiltinTool builtin) { return builtin_name(builtin) == space; });
}

Message text_message(Role role, std::string_view channel, std::string text) {
  Message message;
  message.role = role;
  message.channel = channel;
  message.content = std::move(text);
  return message;
}

Message call_message(const Conversation& conversation, const ToolCall& call) {
  const bool builtin = is_builtin(conversation, call.name);
  Message message = text_message(Role::kAssistant, builtin ? "analysis" : "commentary", call.arguments);
  message.recipient = builtin ? call.name : "functions." + call.name;
  message.content_type = builtin ? "code" : "<|constrain|>json";
  return message;
}

Message result_message(const Conversation& conversation, const chat::Message& result) {
  const bool builtin = is_builtin(conversation, result.tool_name);
  Message message = text_message(Role::kTool, builtin ? "analysis" : "commentary", result.content);
  message.name = builtin ? result.tool_name : "functions." + result.tool_name;
  message.recipient = "assistant";
  return message;
}

void append_assistant(const Conversation& conversation, const chat::Message& turn,
                      std::vector<Message>& out) {
  if (!turn.reasoning.empty()) out.push_back(text_message(Role::kAssistant, "analysis", turn.reasoning));
  if (!turn.preamble.empty()) out.push_back(text_message(Role::kAssistant, "commentary", turn.preamble));
  for (const ToolCall& call : turn.tool_calls) out.push_back(call_message(conversation, call));
  const bool says_nothing = turn.reasoning.empty() && turn.preamble.empty() && turn.tool_calls.empty();
  if (!turn.content.empty() || says_nothing)
    out.push_back(text_message(Role::kAssistant, "final", turn.content));
}

std::optional<ResponseFormat> shown_format(const ResponseFormat& format) {
  if (format.kind == ResponseFormat::Kind::kJsonSchema) return format;
  if (format.kind != ResponseFormat::Kind::kJsonObject)
    return std::nullopt;  // nothing the model was trained with
  return ResponseFormat{ResponseFormat::Kind::kJsonObject, "json_object", {}, R"({"type":"object"})"};
}

Message system_message(const Conversation& conversation) {
  SystemContent system;
  if (!conversation.date.empty()) system.date = conversation.date;
  if (conversation.reasoning_effort) system.reasoning_effort = conversation.reasoning_effort;
  for (BuiltinTool tool : conversation.builtin_tools) system.tools.push_back(builtin_namespace(tool));
  Message message;
  message.role = Role::kSystem;
  message.content = std::move(system);
  return message;
}

// `n_leading`: how many messages at the front are instructions.
std::optional<Message> developer_message(const Conversation& conversation, size_t n_leading) {
  DeveloperContent developer;
  for (size_t i = 0; i < n_leading; ++i) {
    const std::string& text = conversation.messages[i].content;
    if (text.empty()) continue;
    developer.instructions = developer.instructions ? *developer.instructions + "\n\n" + text : text;
  }
  if (!conversation.tools.empty()) developer.tools.push_back({"functions", {}, conversation.tools});
  developer.response_format = shown_format(conversation.response_format);
  if (!developer.instructions && developer.tools.empty() && !developer.response_format) return std::nullopt;
  Message message;
  message.role = Role::kDeveloper;
  message.content = std::move(developer);
  return message;
}

Status append_turn(const Conversation& conversation, size_t index, std::vector<Message>& out) {
  const chat::Message& message = conversation.messages[index];
  if (message.role == Role::kAssistant) {
    append_assistant(conversation, message, out);
  } else if (message.role == Role::kTool) {
    if (message.tool_name.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "messages[{}]: expected the name of the tool that answers, found none", index);
    out.push_back(result_message(conversation, message));
  } else if (is_instruction(message)) {
    Message developer;
    developer.role = Role::kDeveloper;
    developer.content = DeveloperContent{message.content, {}, {}};
    out.push_back(std::move(developer));
  } else {
    out.push_back(text_message(Role::kUser, "", message.content));
  }
  return {};
}

Status append_turns(const Conversation& conversation, size_t first, std::vector<Message>& out) {
  for (size_t i = first; i < conversation.messages.size(); ++i)
    ATELIER_CHECK_OK(append_turn(conversation, i, out));
  return {};
}

// What comes before the first turn. Returns that one's index.
size_t opening_messages(const Conversation& conversation, std::vector<Message>& out) {
  const auto first_turn = std::ranges::find_if_not(conversation.messages, is_instruction);
  const auto n_leading = static_cast<size_t>(first_turn - conversation.messages.begin());
  out.push_back(system_message(conversation));
  if (auto developer = developer_message(conversation, n_leading)) out.push_back(std::move(*developer));
  return n_leading;
}

class HarmonyDialect final : public Dialect {
 public:
  HarmonyDialect(std::shared_ptr<const Tokenizer> tokenizer, const ControlTokens& ids)
      : Dialect(std::move(tokenizer)), ids_(ids) {}

  std::string_view name() const override { return "harmony"; }

  Result<Prompt> render(const Conversation& conversation, const RenderOptions& options) const override {
    if (std::ranges::any_of(conversation.messages,
                            [](const chat::Message& m) { return m.sampled != nullptr; }))
      return render_sampled(conversation, options);
    ATELIER_TRY(std::vector<Message> messages, messages_of(conversation));
    messages = without_finished_analysis(std::move(messages));
    return finish_prompt(messages, options);
  }

  Result<Continuation> render_continuation(std::span<const TokenId> history, const Conversation& conversation,
                                           size_t first_new) const override {
    std::vector<Message> messages;
    ATELIER_CHECK_OK(append_turns(conversation, first_new, messages));
    ATELIER_TRY(const Prompt prompt, finish_prompt(messages, {}));
    const bool new_turn =
        std::ranges::any_of(messages, [](const Message& m) { return m.role == Role::kUser; });
    std::vector<TokenId> wanted = closed_history(history, tokenizer(), ids_, new_turn);
    const auto [changed, unused] = std::ranges::mismatch(wanted, history);
    Continuation next;
    next.keep = static_cast<size_t>(changed - wanted.begin());
    next.append.assign(changed, wanted.end());
    const std::vector<TokenId> added = prompt.encode(tokenizer());
    next.append.insert(next.append.end(), added.begin(), added.end());
    return next;
  }

  std::vector<TokenId> stop_tokens() const override {
    std::vector<TokenId> stops = {ids_.ret, ids_.call};
    if (ids_.endoftext) stops.push_back(*ids_.endoftext);
    return stops;
  }

  std::unique_ptr<Parser> new_parser(const ParserOptions& options) const override {
    return make_parser(tokenizer(), ids_, options);
  }

  std::unique_ptr<HeaderMask> new_header_mask(const Conversation& conversation) const override {
    return make_mask(tokenizer(), ids_, conversation);
  }

 private:
  // Turns whose ids are known are kept id by id; what closes and trims a live history closes and trims this
  // one.
  Result<Prompt> render_sampled(const Conversation& conversation, const RenderOptions& options) const {
    std::vector<TokenId> history;
    const auto append = [&](std::span<const Message> messages) -> Status {
      Prompt prompt;
      ATELIER_CHECK_OK(harmony::render(messages, ids_, prompt));
      const std::vector<TokenId> ids = prompt.encode(tokenizer());
      history.insert(history.end(), ids.begin(), ids.end());
      return {};
    };
    const std::vector<TokenId> header = tokenizer().encode(role_name(Role::kAssistant));
    std::vector<Message> opening;
    size_t at = opening_messages(conversation, opening);
    ATELIER_CHECK_OK(append(opening));
    for (; at < conversation.messages.size(); ++at) {
      const chat::Message& message = conversation.messages[at];
      if (message.role == Role::kAssistant && message.sampled) {
        history.push_back(ids_.start);
        history.insert(history.end(), header.begin(), header.end());
        history.insert(history.end(), message.sampled->begin(), message.sampled->end());
        continue;
      }
      std::vector<Message> messages;
      ATELIER_CHECK_OK(append_turn(conversation, at, messages));
      ATELIER_CHECK_OK(append(messages));
    }
    Prompt prompt;
    prompt.ids(closed_history(history, tokenizer(), ids_, /*new_turn=*/false));
    if (options.generation_prompt) prompt.control(ids_.start).piece(role_name(Role::kAssistant));
    return prompt;
  }

  Result<Prompt> finish_prompt(std::span<const Message> messages, const RenderOptions& options) const {
    Prompt prompt;
    ATELIER_CHECK_OK(harmony::render(messages, ids_, prompt));
    if (options.generation_prompt) prompt.control(ids_.start).piece(role_name(Role::kAssistant));
    return prompt;
  }

  ControlTokens ids_;
};

}  // namespace

Result<std::vector<Message>> messages_of(const Conversation& conversation) {
  std::vector<Message> out;
  const size_t first_turn = opening_messages(conversation, out);
  ATELIER_CHECK_OK(append_turns(conversation, first_turn, out));
  return out;
}

}  // namespace harmony

Result<std::unique_ptr<Dialect>> make_harmony(std::shared_ptr<const Tokenizer> tokenizer) {
  ATELIER_TRY(const auto ids, harmony::ControlTokens::of(*tokenizer));
  return std::make_unique<harmony::HarmonyDialect>(std::move(tokenizer), ids);
}

}  // namespace atelier::chat
