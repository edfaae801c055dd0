// Items of the Responses API → messages of a conversation.
#include <algorithm>

#include "chat/completions_body.h"
#include "server/custom_input.h"
#include "server/responses.h"

namespace atelier::server {
namespace {

using chat::Conversation;
using chat::Message;
using chat::Role;

// A text, or the texts of its parts.
Result<std::string> text_of(const Fields& item, const char* key) {
  const Json* content = item.find(key);
  if (content == nullptr) return std::string();
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return item.wrong(key, "a text or a list of parts", content);
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const std::string* type = chat::string_member(part, "type");
    const std::string where = fmt::format("{}[{}]", key, i);
    if (type == nullptr) return item.wrong(where, "a part with a type", &part);
    const bool refusal = *type == "refusal";
    if (!refusal && *type != "input_text" && *type != "output_text" && *type != "text" &&
        *type != "reasoning_text" && *type != "summary_text")
      return fail(ErrorCode::kUnsupported, "{}.type: expected text, found {}: the model reads text only",
                  item.at(where), shown(chat::member(part, "type")));
    const std::string* said = chat::string_member(part, refusal ? "refusal" : "text");
    if (said == nullptr) return item.wrong(where + ".text", "a string", chat::member(part, "text"));
    text += *said;
  }
  return text;
}

class ItemReader {
 public:
  explicit ItemReader(Conversation& conversation) : conversation_(conversation) {}

  Status read(const Json& json, const std::string& path) {
    if (!json.is_object())
      return fail(ErrorCode::kInvalidArgument, "{}: expected an item, found {}", path, shown(&json));
    const Fields item(json, path + ".");
    ATELIER_TRY(const auto given, item.text("type"));
    const std::string type = given.value_or("message");
    if (type == "message") return read_message(item);
    if (type == "reasoning") return read_reasoning(item);
    if (type == "function_call" || type == "custom_tool_call")
      return read_call(item, type == "custom_tool_call");
    if (type == "function_call_output" || type == "custom_tool_call_output") return read_result(item);
    return item.wrong("type",
                      "message, reasoning, function_call, function_call_output, custom_tool_call or "
                      "custom_tool_call_output",
                      item.find("type"));
  }

 private:
  // The assistant's turn that the item belongs to: the last one, unless what it holds comes after the item.
  Message& turn(bool begins_new) {
    auto& messages = conversation_.messages;
    if (begins_new || messages.empty() || messages.back().role != Role::kAssistant)
      messages.push_back({.role = Role::kAssistant});
    return messages.back();
  }
  const Message* open_turn() const {
    const auto& messages = conversation_.messages;
    return messages.empty() || messages.back().role != Role::kAssistant ? nullptr : &messages.back();
  }

  Status read_message(const Fields& item) {
    ATELIER_TRY(const std::string name, item.required_text("role"));
    ATELIER_TRY(std::string text, text_of(item, "content"));
    if (name == "assistant") {
      const Message* open = open_turn();
      const bool said = open != nullptr && (!open->tool_calls.empty() || !open->content.empty());
      turn(said).content = std::move(text);
      return {};
    }
    for (const Role role : {Role::kSystem, Role::kDeveloper, Role::kUser}) {
      if (name != chat::role_name(role)) continue;
      conversation_.messages.push_back({.role = role, .content = std::move(text)});
      return {};
    }
    return item.wrong("role", "user, assistant, system or developer", item.find("role"));
  }

  Status read_reasoning(const Fields& item) {
    ATELIER_TRY(std::string text, text_of(item, "content"));
    if (text.empty()) {
      ATELIER_TRY(text, text_of(item, "summary"));
    }
    const Message* open = open_turn();
    const bool acted = open != nullptr && (!open->tool_calls.empty() || !open->content.empty());
    if (text.empty()) return {};
    Message& message = turn(acted);
    message.reasoning += (message.reasoning.empty() ? "" : "\n\n") + text;
    return {};
  }

  Status read_call(const Fields& item, bool custom) {
    chat::ToolCall call;
    ATELIER_TRY(call.id, item.required_text("call_id"));
    ATELIER_TRY(call.name, item.required_text("name"));
    ATELIER_TRY(const auto space, item.text("namespace"));
    if (space) call.name = *space + "." + call.name;
    if (custom) {
      ATELIER_TRY(const std::string input, item.required_text("input"));
      call.arguments = custom_arguments(input);
    } else {
      ATELIER_TRY(call.arguments, item.required_text("arguments"));
    }
    Message& message = turn(false);
    if (message.tool_calls.empty()) message.preamble = std::exchange(message.content, {});
    message.tool_calls.push_back(std::move(call));
    return {};
  }

  Status read_result(const Fields& item) {
    Message result{.role = Role::kTool};
    ATELIER_TRY(result.tool_call_id, item.required_text("call_id"));
    const chat::ToolCall* call =
        result.tool_call_id.empty() ? nullptr : chat::find_call(conversation_, result.tool_call_id);
    if (call == nullptr) return item.wrong("call_id", "the id of an earlier call", item.find("call_id"));
    result.tool_name = call->name;
    ATELIER_TRY(result.content, text_of(item, "output"));
    conversation_.messages.push_back(std::move(result));
    return {};
  }

  Conversation& conversation_;
};

}  // namespace

Status read_input_items(const Json& items, Conversation& conversation) {
  if (items.size() > chat::kMaxMessages)
    return fail(ErrorCode::kLimit, "input: expected at most {} items, found {}", chat::kMaxMessages,
                items.size());
  ItemReader reader(conversation);
  for (size_t i = 0; i < items.size(); ++i)
    ATELIER_CHECK_OK(reader.read(items[i], fmt::format("input[{}]", i)));
  return {};
}

}  // namespace atelier::server
