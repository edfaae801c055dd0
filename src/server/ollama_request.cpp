// The bodies of /api/chat and /api/generate → tasks.
#include <algorithm>

#include "chat/completions_body.h"
#include "server/ollama.h"
#include "server/sampling_fields.h"

namespace atelier::server {
namespace {

using chat::Conversation;
using chat::Message;
using chat::Role;

// The names of options, and what they are called elsewhere: read as that.
Json sampling_members(const Json& options) {
  Json out = Json::object();
  const auto copy = [&](const char* from, const char* to) {
    if (const Json* value = chat::member(options, from)) out[to] = *value;
  };
  for (const char* same :
       {"temperature", "top_k", "top_p", "min_p", "typical_p", "presence_penalty", "frequency_penalty",
        "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta", "seed"})
    copy(same, same);
  copy("repeat_penalty", "repetition_penalty");
  copy("stop", "stop");
  return out;
}

Status read_options(const Fields& body, Task& task) {
  ATELIER_TRY(const Json* options, body.object("options"));
  if (options == nullptr) return {};
  const Json members = sampling_members(*options);
  const Fields renamed(members, "options.");
  ATELIER_CHECK_OK(read_sampling(renamed, task.sampling));
  ATELIER_CHECK_OK(read_stops(renamed, "stop", task.stop));
  const Fields fields(*options, "options.");
  // -1 and -2: no limit of its own.
  ATELIER_TRY(const auto limit, fields.integer("num_predict", -2, kMaxTokensField));
  if (limit && *limit == 0)
    return fields.wrong("num_predict", "-1 or at least 1", fields.find("num_predict"));
  if (limit && *limit > 0) task.max_tokens = static_cast<size_t>(*limit);
  ATELIER_TRY(const auto context, fields.integer("num_ctx", 1, kMaxTokensField));
  (void)context;  // the server's --ctx decides: a context belongs to a loaded model, not to a request
  return {};
}

Status read_ollama_format(const Fields& body, Conversation& conversation) {
  const Json* format = body.find("format");
  if (format == nullptr || *format == Json("")) return {};
  if (*format == Json("json")) {
    conversation.response_format.kind = chat::ResponseFormat::Kind::kJsonObject;
    return {};
  }
  if (!format->is_object()) return body.wrong("format", "\"json\" or a JSON Schema object", format);
  chat::ResponseFormat& out = conversation.response_format;
  out.kind = chat::ResponseFormat::Kind::kJsonSchema;
  out.name = "format";
  out.schema = chat::compact_json(*format);
  if (out.schema.size() > chat::kMaxSchemaBytes)
    return fail(ErrorCode::kLimit, "format: expected at most {} bytes, found {}", chat::kMaxSchemaBytes,
                out.schema.size());
  return {};
}

Status read_think(const Fields& body, OllamaRequest& request) {
  const Json* think = body.find("think");
  if (think == nullptr) return {};
  auto& effort = request.task.conversation->reasoning_effort;
  using chat::ReasoningEffort;
  if (think->is_boolean()) {
    request.think = think->get<bool>();
    if (!request.think) effort = ReasoningEffort::kLow;
  } else if (*think == Json("low")) {
    effort = ReasoningEffort::kLow;
  } else if (*think == Json("medium")) {
    effort = ReasoningEffort::kMedium;
  } else if (*think == Json("high")) {
    effort = ReasoningEffort::kHigh;
  } else {
    return body.wrong("think", "true, false, low, medium or high", think);
  }
  return {};
}

Status refuse_images(const Fields& fields) {
  ATELIER_TRY(const Json* images, fields.array("images"));
  if (images == nullptr || images->empty()) return {};
  return fail(ErrorCode::kUnsupported, "{}: expected none, found {}: the model reads text only",
              fields.at("images"), images->size());
}

Status read_ollama_tools(const Fields& body, Conversation& conversation) {
  ATELIER_TRY(const Json* tools, body.array("tools"));
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}].function", i);
    const Json* function = chat::member((*tools)[i], "function");
    if (function == nullptr || !function->is_object())
      return fail(ErrorCode::kInvalidArgument, "{}: expected an object, found {}", path, shown(function));
    const Fields fields(*function, path + ".");
    chat::FunctionTool tool;
    ATELIER_TRY(tool.name, fields.required_text("name"));
    ATELIER_TRY(auto description, fields.text("description"));
    tool.description = description.value_or("");
    ATELIER_TRY(const Json* schema, fields.object("parameters"));
    if (schema != nullptr) tool.parameters = chat::compact_json(*schema);
    ATELIER_CHECK_OK(chat::add_tool(conversation, std::move(tool), path));
  }
  return {};
}

// Calls have no ids in this API: results answer them in order.
class OllamaMessages {
 public:
  explicit OllamaMessages(Conversation& conversation) : conversation_(conversation) {}

  Status read(const Json& json, const std::string& path) {
    if (!json.is_object())
      return fail(ErrorCode::kInvalidArgument, "{}: expected an object, found {}", path, shown(&json));
    const Fields fields(json, path + ".");
    ATELIER_TRY(const std::string role, fields.required_text("role"));
    ATELIER_TRY(auto content, fields.text("content"));
    ATELIER_CHECK_OK(refuse_images(fields));
    Message message;
    message.content = content.value_or("");
    for (const Role known : {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool}) {
      if (role != chat::role_name(known)) continue;
      message.role = known;
      if (known == Role::kAssistant) ATELIER_CHECK_OK(read_assistant(fields, message));
      if (known == Role::kTool) ATELIER_CHECK_OK(read_result(fields, message));
      conversation_.messages.push_back(std::move(message));
      return {};
    }
    return fields.wrong("role", "system, user, assistant or tool", fields.find("role"));
  }

 private:
  Status read_assistant(const Fields& fields, Message& message) {
    ATELIER_TRY(auto thinking, fields.text("thinking"));
    message.reasoning = thinking.value_or("");
    ATELIER_TRY(const Json* calls, fields.array("tool_calls"));
    for (size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
      const Json* function = chat::member((*calls)[i], "function");
      const std::string* name = function == nullptr ? nullptr : chat::string_member(*function, "name");
      if (name == nullptr || name->empty())
        return fields.wrong(fmt::format("tool_calls[{}].function.name", i), "a string", nullptr);
      const Json* arguments = chat::member(*function, "arguments");
      if (arguments != nullptr && !arguments->is_object())
        return fields.wrong(fmt::format("tool_calls[{}].function.arguments", i), "an object", arguments);
      const std::string* id = chat::string_member((*calls)[i], "id");
      message.tool_calls.push_back(
          {.id = id != nullptr ? *id : fmt::format("call_{}", ++n_calls_),
           .name = *name,
           .arguments = arguments == nullptr ? "{}" : chat::compact_json(*arguments)});
    }
    if (!message.tool_calls.empty()) message.preamble = std::exchange(message.content, {});
    n_answered_ = 0;
    return {};
  }

  Status read_result(const Fields& fields, Message& message) {
    const auto& messages = conversation_.messages;
    const auto asked = std::find_if(messages.rbegin(), messages.rend(),
                                    [](const Message& m) { return !m.tool_calls.empty(); });
    ATELIER_TRY(auto name, fields.text("tool_name"));
    if (asked == messages.rend())
      return fields.wrong("role", "a tool's result after a call", fields.find("role"));
    const chat::ToolCall& call = asked->tool_calls[std::min(n_answered_++, asked->tool_calls.size() - 1)];
    message.tool_call_id = call.id;
    message.tool_name = name.value_or(call.name);
    return {};
  }

  Conversation& conversation_;
  size_t n_calls_ = 0;
  size_t n_answered_ = 0;  // calls of the last message with some
};

// Zero as a number of seconds, or a duration such as "0s" or "0m".
bool is_no_time(const Json* keep_alive) {
  if (keep_alive == nullptr) return false;
  if (keep_alive->is_number()) return keep_alive->get<double>() == 0;
  if (!keep_alive->is_string()) return false;
  const std::string& text = keep_alive->get_ref<const std::string&>();
  return text.starts_with('0') && text.find_first_of("123456789") == std::string::npos;
}

// True, with the request filled, if `asked` (messages or a prompt) is not there or empty.
bool asks_nothing(const Fields& body, const Json* asked, OllamaRequest& request) {
  request.only_loads = asked == nullptr || asked->empty() || *asked == Json("");
  request.unloads = request.only_loads && is_no_time(body.find("keep_alive"));
  return request.only_loads;
}

Status read_common(const Fields& body, OllamaRequest& request) {
  ATELIER_TRY(request.task.model, body.required_text("model"));
  ATELIER_CHECK_OK(read_options(body, request.task));
  ATELIER_TRY(const auto stream, body.boolean("stream"));
  request.stream = stream.value_or(true);
  return {};
}

}  // namespace

Result<OllamaRequest> parse_ollama_chat(const Json& json) {
  const Fields body(json);
  OllamaRequest request;
  Conversation& conversation = request.task.conversation.emplace();
  ATELIER_CHECK_OK(read_common(body, request));
  ATELIER_TRY(const Json* messages, body.array("messages"));
  if (asks_nothing(body, messages, request)) return request;
  if (messages->size() > chat::kMaxMessages)
    return fail(ErrorCode::kLimit, "messages: expected at most {}, found {}", chat::kMaxMessages,
                messages->size());
  OllamaMessages reader(conversation);
  for (size_t i = 0; i < messages->size(); ++i)
    ATELIER_CHECK_OK(reader.read((*messages)[i], fmt::format("messages[{}]", i)));
  ATELIER_CHECK_OK(read_ollama_tools(body, conversation));
  ATELIER_CHECK_OK(read_ollama_format(body, conversation));
  ATELIER_CHECK_OK(read_think(body, request));
  return request;
}

Result<OllamaRequest> parse_ollama_generate(const Json& json) {
  const Fields body(json);
  OllamaRequest request;
  request.generate = true;
  Task& task = request.task;
  ATELIER_CHECK_OK(read_common(body, request));
  ATELIER_CHECK_OK(refuse_images(body));
  ATELIER_TRY(auto prompt, body.text("prompt"));
  ATELIER_TRY(auto suffix, body.text("suffix"));
  ATELIER_TRY(const auto raw, body.boolean("raw"));
  for (const char* key : {"template", "context"})
    if (const Json* value = body.find(key); value != nullptr && !value->empty() && *value != Json(""))
      return fail(ErrorCode::kUnsupported, "{}: expected none, found one: conversations belong to /api/chat",
                  key);
  if (asks_nothing(body, body.find("prompt"), request)) return request;
  task.suffix = suffix.value_or("");
  if (raw.value_or(false) || !task.suffix.empty()) {
    if (body.find("format") != nullptr || body.find("system") != nullptr)
      return fail(ErrorCode::kUnsupported, "raw: expected neither system nor format with it, found one");
    task.prompts.emplace_back(std::move(*prompt));
    return request;
  }
  Conversation& conversation = task.conversation.emplace();
  ATELIER_TRY(auto system, body.text("system"));
  if (system && !system->empty())
    conversation.messages.push_back({.role = Role::kSystem, .content = std::move(*system)});
  conversation.messages.push_back({.role = Role::kUser, .content = std::move(*prompt)});
  ATELIER_CHECK_OK(read_ollama_format(body, conversation));
  ATELIER_CHECK_OK(read_think(body, request));
  return request;
}

}  // namespace atelier::server
