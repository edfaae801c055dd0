#include "chat/template_dialect_variables.h"

#include <algorithm>
#include <map>

#include "chat/tool_json.h"

namespace atelier::chat {
namespace {

using jinja::Dict;
using jinja::Value;

Value own(std::string_view text) { return jinja::Text::trusted(std::string(text)); }
Value dict_value(Dict dict) { return std::make_shared<const Dict>(std::move(dict)); }

// Ids as the conversation has them, or as "call00001" in the order of the calls.
class CallIds {
 public:
  explicit CallIds(bool numbered) : numbered_(numbered) {}
  Value operator()(const std::string& id) {
    if (!numbered_) return Value::data(id);
    const auto [entry, fresh] = numbers_.try_emplace(id, numbers_.size() + 1);
    return Value::data(fmt::format("call{:05}", entry->second));
  }

 private:
  bool numbered_;
  std::map<std::string, size_t> numbers_;
};

Value arguments_value(const ToolCall& call, const TemplateShape& shape) {
  const std::string& text = call.arguments.empty() ? "{}" : call.arguments;
  if (shape.object_arguments)
    if (const auto json = parse_json(text, "arguments")) return jinja::from_json(*json);
  return Value::data(text);
}

Value calls_value(const Message& message, const TemplateShape& shape, CallIds& ids) {
  std::vector<Value> calls;
  for (const ToolCall& call : message.tool_calls) {
    Dict function;
    function.set("name", Value::data(call.name));
    function.set("arguments", arguments_value(call, shape));
    Dict entry;
    entry.set("id", ids(call.id));
    entry.set("type", own("function"));
    entry.set("function", dict_value(std::move(function)));
    calls.push_back(dict_value(std::move(entry)));
  }
  return jinja::list_of(std::move(calls));
}

Value message_value(const Message& message, const std::string& content, const TemplateShape& shape,
                    CallIds& ids) {
  Dict out;
  const bool as_system = message.role == Role::kDeveloper && !shape.developer_role;
  out.set("role", own(as_system ? "system" : role_name(message.role)));
  const bool only_calls = !message.tool_calls.empty() && content.empty();
  out.set("content", only_calls && shape.null_content ? Value(jinja::None{}) : Value::data(content));
  if (!message.reasoning.empty()) {
    out.set("reasoning_content", Value::data(message.reasoning));
    out.set("thinking", Value::data(message.reasoning));
  }
  if (!message.tool_calls.empty()) out.set("tool_calls", calls_value(message, shape, ids));
  if (message.role == Role::kTool) {
    if (!message.tool_name.empty()) out.set("name", Value::data(message.tool_name));
    if (!message.tool_call_id.empty()) out.set("tool_call_id", ids(message.tool_call_id));
  }
  return dict_value(std::move(out));
}

Value messages_value(const std::vector<Message>& messages, const TemplateShape& shape) {
  CallIds ids(shape.nine_character_ids);
  std::vector<Value> out;
  std::string folded;
  for (const Message& message : messages) {
    const bool instruction = message.role == Role::kSystem || message.role == Role::kDeveloper;
    if (shape.fold_system && instruction) {
      folded += message.content + "\n\n";
      continue;
    }
    std::string content = message.preamble + message.content;
    if (message.role == Role::kUser) content = std::exchange(folded, {}) + content;
    out.push_back(message_value(message, content, shape, ids));
  }
  return jinja::list_of(std::move(out));
}

Result<Value> tools_value(const Conversation& conversation) {
  if (conversation.tools.empty()) return Value(jinja::None{});
  std::vector<Value> tools;
  for (const FunctionTool& tool : conversation.tools) {
    ATELIER_TRY(const Json json, tool_json(tool));
    tools.push_back(jinja::from_json(json));
  }
  return jinja::list_of(std::move(tools));
}

}  // namespace

Result<Dict> template_variables(const Conversation& conversation, const RenderOptions& options,
                                const TemplateShape& shape, const Tokenizer& tokenizer) {
  Dict variables;
  if (!conversation.template_arguments.empty()) {
    ATELIER_TRY(const Json arguments, parse_json(conversation.template_arguments, "chat_template_kwargs"));
    for (const auto& [name, value] : arguments.items()) variables.set(name, jinja::from_json(value));
  }
  variables.set("messages", messages_value(conversation.messages, shape));
  ATELIER_TRY(Value tools, tools_value(conversation));
  variables.set("tools", std::move(tools));
  if (variables.find("documents") == nullptr) variables.set("documents", jinja::None{});
  variables.set("add_generation_prompt", Value(options.generation_prompt));
  if (const auto bos = tokenizer.bos()) variables.set("bos_token", own(tokenizer.token_bytes(*bos)));
  if (const auto eos = tokenizer.eos()) variables.set("eos_token", own(tokenizer.token_bytes(*eos)));
  if (conversation.reasoning_effort) {
    constexpr std::string_view kEfforts[] = {"low", "medium", "high"};
    variables.set("reasoning_effort", own(kEfforts[static_cast<size_t>(*conversation.reasoning_effort)]));
  }
  return variables;
}

}  // namespace atelier::chat
