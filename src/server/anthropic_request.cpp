#include <algorithm>

#include "chat/completions_body.h"
#include "server/anthropic.h"
#include "server/limits.h"
#include "server/sampling_fields.h"

namespace atelier::server {
namespace {

using chat::Conversation;
using chat::Message;
using chat::Role;

// Reads one message's blocks; a user's message may become several: results of tools first, then text.
class MessageReader {
 public:
  MessageReader(Conversation& conversation, std::string path)
      : conversation_(conversation), path_(std::move(path)) {}

  Status read(const Json& json) {
    if (!json.is_object())
      return fail(ErrorCode::kInvalidArgument, "{}: expected an object, found {}", path_, shown(&json));
    const Fields fields(json, path_ + ".");
    ATELIER_TRY(const std::string role, fields.required_text("role"));
    if (role != "user" && role != "assistant" && role != "system")
      return fields.wrong("role", "user, assistant or system", fields.find("role"));
    message_.role = role == "user" ? Role::kUser : role == "system" ? Role::kSystem : Role::kAssistant;
    const Json* content = fields.find("content");
    if (content == nullptr || (!content->is_string() && !content->is_array()))
      return fields.wrong("content", "a text or a list of blocks", content);
    if (content->is_string()) {
      add_text(content->get<std::string>());
    } else {
      for (size_t i = 0; i < content->size(); ++i)
        ATELIER_CHECK_OK(read_block((*content)[i], fmt::format("{}.content[{}]", path_, i)));
    }
    if (message_.role == Role::kAssistant && !message_.tool_calls.empty())
      message_.preamble = std::exchange(message_.content, {});
    if (has_text_ || message_.role == Role::kAssistant || results_.empty())
      results_.push_back(std::move(message_));
    for (Message& message : results_) conversation_.messages.push_back(std::move(message));
    return {};
  }

 private:
  void add_text(const std::string& text) {
    message_.content += (has_text_ ? "\n\n" : "") + text;
    has_text_ = true;
  }

  Status read_block(const Json& json, const std::string& path) {
    if (!json.is_object())
      return fail(ErrorCode::kInvalidArgument, "{}: expected a block, found {}", path, shown(&json));
    const Fields block(json, path + ".");
    ATELIER_TRY(const std::string type, block.required_text("type"));
    if (type == "text") {
      ATELIER_TRY(const std::string text, block.required_text("text"));
      add_text(text);
      return {};
    }
    const bool assistant = message_.role == Role::kAssistant;
    if (type == "tool_result" && !assistant) return read_result(block);
    if (type == "tool_use" && assistant) return read_call(block);
    if (type == "thinking" && assistant) {
      ATELIER_TRY(const std::string text, block.required_text("thinking"));
      message_.reasoning += (message_.reasoning.empty() ? "" : "\n\n") + text;
      return {};
    }
    if (type == "redacted_thinking" && assistant) return {};
    if (type == "image" || type == "document")
      return fail(ErrorCode::kUnsupported, "{}.type: expected text, found {}: the model reads text only",
                  path, shown(block.find("type")));
    return block.wrong("type", assistant ? "text, thinking or tool_use" : "text or tool_result",
                       block.find("type"));
  }

  Status read_call(const Fields& block) {
    chat::ToolCall call;
    ATELIER_TRY(call.id, block.required_text("id"));
    ATELIER_TRY(call.name, block.required_text("name"));
    ATELIER_TRY(const Json* input, block.object("input"));
    call.arguments = input == nullptr ? "{}" : chat::compact_json(*input);
    message_.tool_calls.push_back(std::move(call));
    return {};
  }

  Status read_result(const Fields& block) {
    Message result{.role = Role::kTool};
    ATELIER_TRY(result.tool_call_id, block.required_text("tool_use_id"));
    const chat::ToolCall* call = chat::find_call(conversation_, result.tool_call_id);
    if (call == nullptr || result.tool_call_id.empty())
      return block.wrong("tool_use_id", "the id of an earlier tool_use", block.find("tool_use_id"));
    result.tool_name = call->name;
    ATELIER_TRY(const auto is_error, block.boolean("is_error"));
    ATELIER_TRY(result.content, text_of(block, "content"));
    if (is_error.value_or(false)) result.content = "Error: " + result.content;
    results_.push_back(std::move(result));
    return {};
  }

 public:
  // A text, or the texts of text blocks; nothing is the empty text.
  static Result<std::string> text_of(const Fields& fields, const char* key) {
    const Json* content = fields.find(key);
    if (content == nullptr) return std::string();
    if (content->is_string()) return content->get<std::string>();
    if (!content->is_array()) return fields.wrong(key, "a text or a list of text blocks", content);
    std::string text;
    for (size_t i = 0; i < content->size(); ++i) {
      const Json& item = (*content)[i];
      const std::string* type = chat::string_member(item, "type");
      const std::string* part = chat::string_member(item, "text");
      if (type == nullptr || *type != "text" || part == nullptr)
        return fields.wrong(fmt::format("{}[{}]", key, i), "a text block",
                            type ? chat::member(item, "type") : &item);
      text += (text.empty() ? "" : "\n\n") + *part;
    }
    return text;
  }

 private:
  Conversation& conversation_;
  std::string path_;
  Message message_;
  bool has_text_ = false;
  std::vector<Message> results_;
};

Status read_messages(const Fields& body, Conversation& conversation) {
  ATELIER_TRY(std::string system, MessageReader::text_of(body, "system"));
  if (!system.empty()) conversation.messages.push_back({.role = Role::kSystem, .content = std::move(system)});
  const Json* messages = body.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty())
    return body.wrong("messages", "a list of at least one message", messages);
  if (messages->size() > chat::kMaxMessages)
    return fail(ErrorCode::kLimit, "messages: expected at most {}, found {}", chat::kMaxMessages,
                messages->size());
  for (size_t i = 0; i < messages->size(); ++i)
    ATELIER_CHECK_OK(MessageReader(conversation, fmt::format("messages[{}]", i)).read((*messages)[i]));
  if (conversation.messages.back().role == Role::kAssistant)
    return fail(
        ErrorCode::kUnsupported,
        "messages: expected the last one to be the user's, found the assistant's: beginnings of answers "
        "cannot be given");
  return {};
}

Status read_tool(const Json& json, const std::string& path, Conversation& conversation) {
  if (!json.is_object())
    return fail(ErrorCode::kInvalidArgument, "{}: expected an object, found {}", path, shown(&json));
  const Fields fields(json, path + ".");
  ATELIER_TRY(const auto type, fields.text("type"));
  if (type && *type != "custom")
    return fail(ErrorCode::kUnsupported,
                "{}.type: expected custom, found {}: this server runs no tools itself", path,
                shown(fields.find("type")));
  chat::FunctionTool tool;
  ATELIER_TRY(tool.name, fields.required_text("name"));
  ATELIER_TRY(auto description, fields.text("description"));
  tool.description = description.value_or("");
  ATELIER_TRY(const Json* schema, fields.object("input_schema"));
  if (schema != nullptr) tool.parameters = chat::compact_json(*schema);
  return chat::add_tool(conversation, std::move(tool), path);
}

Status read_tools(const Fields& body, Conversation& conversation) {
  ATELIER_TRY(const Json* tools, body.array("tools"));
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i)
    ATELIER_CHECK_OK(read_tool((*tools)[i], fmt::format("tools[{}]", i), conversation));
  ATELIER_TRY(const Json* choice, body.object("tool_choice"));
  if (choice == nullptr) return {};
  const Fields fields(*choice, "tool_choice.");
  ATELIER_TRY(const auto single, fields.boolean("disable_parallel_tool_use"));
  conversation.parallel_tool_calls = !single.value_or(false);
  ATELIER_TRY(const std::string type, fields.required_text("type"));
  using Kind = chat::ToolChoice::Kind;
  if (type == "auto") return {};
  if (type == "none") return chat::choose_tool(conversation, {Kind::kNone, {}}, "tool_choice");
  if (type == "any") return chat::choose_tool(conversation, {Kind::kRequired, {}}, "tool_choice");
  if (type != "tool") return fields.wrong("type", "auto, any, tool or none", fields.find("type"));
  ATELIER_TRY(std::string name, fields.required_text("name"));
  return chat::choose_tool(conversation, {Kind::kFunction, std::move(name)}, "tool_choice.name");
}

// A budget of thinking tokens is an effort to models that know efforts: these bounds are what gpt-oss spends
// at low and at medium on everyday questions.
chat::ReasoningEffort effort_of(int64_t budget) {
  constexpr int64_t kLow = 2048, kMedium = 8192;
  if (budget <= kLow) return chat::ReasoningEffort::kLow;
  return budget <= kMedium ? chat::ReasoningEffort::kMedium : chat::ReasoningEffort::kHigh;
}

Status read_thinking(const Fields& body, MessagesRequest& request) {
  ATELIER_TRY(const Json* thinking, body.object("thinking"));
  chat::Conversation& conversation = *request.task.conversation;
  if (thinking != nullptr) {
    const Fields fields(*thinking, "thinking.");
    ATELIER_TRY(const std::string type, fields.required_text("type"));
    ATELIER_TRY(const auto budget, fields.integer("budget_tokens", 0, kMaxTokensField));
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      return fields.wrong("type", "enabled, adaptive or disabled", fields.find("type"));
    request.thinking = type != "disabled";
    if (!request.thinking) conversation.reasoning_effort = chat::ReasoningEffort::kLow;
    if (request.thinking && budget) conversation.reasoning_effort = effort_of(*budget);
  }
  ATELIER_TRY(const Json* output, body.object("output_config"));
  if (output == nullptr) return {};
  const Fields fields(*output, "output_config.");
  ATELIER_TRY(const auto effort, fields.text("effort"));
  if (!effort) return {};
  if (*effort == "low")
    conversation.reasoning_effort = chat::ReasoningEffort::kLow;
  else if (*effort == "medium")
    conversation.reasoning_effort = chat::ReasoningEffort::kMedium;
  else if (*effort == "high" || *effort == "max")
    conversation.reasoning_effort = chat::ReasoningEffort::kHigh;
  else
    return fields.wrong("effort", "low, medium, high or max", fields.find("effort"));
  return {};
}

}  // namespace

Result<MessagesRequest> parse_messages_request(const Json& json, bool counting) {
  const Fields body(json);
  MessagesRequest request;
  Task& task = request.task;
  task.conversation.emplace();
  task.call_prefix = "toolu_";
  ATELIER_TRY(task.model, body.required_text("model"));
  ATELIER_CHECK_OK(read_tools(body, *task.conversation));
  ATELIER_CHECK_OK(read_messages(body, *task.conversation));
  ATELIER_CHECK_OK(read_thinking(body, request));
  if (counting) return request;
  ATELIER_TRY(const auto max_tokens, body.integer("max_tokens", 1, kMaxTokensField));
  if (!max_tokens) return body.wrong("max_tokens", "an integer", nullptr);
  task.max_tokens = static_cast<size_t>(*max_tokens);
  ATELIER_CHECK_OK(read_sampling(body, task.sampling));
  ATELIER_CHECK_OK(read_stops(body, "stop_sequences", task.stop));
  ATELIER_TRY(const auto stream, body.boolean("stream"));
  request.stream = stream.value_or(false);
  return request;
}

}  // namespace atelier::server
