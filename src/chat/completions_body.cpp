#include "chat/completions_body.h"

#include <algorithm>
#include <array>
#include <utility>

namespace atelier::chat {
namespace {

std::string_view found_name(const Json* value) { return value ? value->type_name() : "nothing"; }

tl::unexpected<Error> wrong_type(std::string_view path, std::string_view expected, const Json* found) {
  return fail(ErrorCode::kInvalidArgument, "{}: expected {}, found {}", path, expected, found_name(found));
}

// What a found string is called in an error: quoted, and not a page long.
std::string shown(const std::string& text) {
  constexpr size_t kMaxShown = 60;
  return text.size() <= kMaxShown ? compact_json(text) : compact_json(text.substr(0, kMaxShown)) + "…";
}

tl::unexpected<Error> wrong_word(std::string_view path, std::string_view expected, const std::string& found) {
  return fail(ErrorCode::kInvalidArgument, "{}: expected {}, found {}", path, expected, shown(found));
}

bool absent(const Json* value) { return !value || value->is_null(); }

Result<std::string> required_string(const Json& object, const char* key, std::string_view path) {
  if (const std::string* text = string_member(object, key)) return *text;
  return wrong_type(fmt::format("{}.{}", path, key), "a string", member(object, key));
}

// Null counts as absent, as clients send it.
Result<std::string> optional_string(const Json& object, const char* key, std::string_view path) {
  if (absent(member(object, key))) return std::string();
  return required_string(object, key, path);
}

Result<std::string> content_part(const Json& part, const std::string& path) {
  ATELIER_TRY(const std::string type, required_string(part, "type", path));
  if (type == "refusal") return required_string(part, "refusal", path);
  if (type == "text" || type == "input_text" || type == "output_text")
    return required_string(part, "text", path);
  return wrong_word(path + ".type", "\"text\"", type);
}

Result<std::string> content_of(const Json& message, const std::string& path, bool required) {
  const Json* content = member(message, "content");
  if (absent(content) && !required) return std::string();
  if (content && content->is_string()) return content->get<std::string>();
  if (!content || !content->is_array())
    return wrong_type(path + ".content", "a string or an array of parts", content);
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    ATELIER_TRY(const std::string part, content_part((*content)[i], fmt::format("{}.content[{}]", path, i)));
    text += part;
  }
  return text;
}

Result<Role> role_of(const Json& message, const std::string& path) {
  ATELIER_TRY(const std::string name, required_string(message, "role", path));
  for (Role role : {Role::kSystem, Role::kDeveloper, Role::kUser, Role::kAssistant, Role::kTool})
    if (name == role_name(role)) return role;
  return wrong_word(path + ".role", "system, developer, user, assistant or tool", name);
}

Result<ToolCall> tool_call_of(const Json& value, const std::string& path) {
  ToolCall call;
  ATELIER_TRY(call.id, optional_string(value, "id", path));
  const Json* function = member(value, "function");
  if (!function || !function->is_object()) return wrong_type(path + ".function", "an object", function);
  ATELIER_TRY(call.name, required_string(*function, "name", path + ".function"));
  if (call.name.empty()) return wrong_word(path + ".function.name", "a name", call.name);
  const Json* arguments = member(*function, "arguments");
  if (arguments && arguments->is_object()) {
    call.arguments = compact_json(*arguments);
  } else {
    ATELIER_TRY(call.arguments, optional_string(*function, "arguments", path + ".function"));
  }
  return call;
}

Status read_assistant(const Json& value, const std::string& path, Message& message) {
  for (const char* key : {"reasoning_content", "reasoning", "thinking"}) {
    if (!message.reasoning.empty()) break;
    ATELIER_TRY(message.reasoning, optional_string(value, key, path));
  }
  const Json* calls = member(value, "tool_calls");
  if (absent(calls)) return {};
  if (!calls->is_array()) return wrong_type(path + ".tool_calls", "an array", calls);
  for (size_t i = 0; i < calls->size(); ++i) {
    ATELIER_TRY(ToolCall call, tool_call_of((*calls)[i], fmt::format("{}.tool_calls[{}]", path, i)));
    message.tool_calls.push_back(std::move(call));
  }
  if (!message.tool_calls.empty()) message.preamble = std::exchange(message.content, {});
  return {};
}

Status read_tool_result(const Json& value, const std::string& path, const Conversation& so_far,
                        Message& message) {
  ATELIER_TRY(message.tool_call_id, optional_string(value, "tool_call_id", path));
  ATELIER_TRY(message.tool_name, optional_string(value, "name", path));
  if (!message.tool_name.empty()) return {};
  if (const ToolCall* call = find_call(so_far, message.tool_call_id)) {
    message.tool_name = call->name;
    return {};
  }
  return wrong_word(path + ".tool_call_id", "the id of an earlier tool call", message.tool_call_id);
}

Result<Message> message_of(const Json& value, const std::string& path, const Conversation& so_far) {
  if (!value.is_object()) return wrong_type(path, "an object", &value);
  Message message;
  ATELIER_TRY(message.role, role_of(value, path));
  ATELIER_TRY(message.content, content_of(value, path, message.role != Role::kAssistant));
  if (message.role == Role::kAssistant) ATELIER_CHECK_OK(read_assistant(value, path, message));
  if (message.role == Role::kTool) ATELIER_CHECK_OK(read_tool_result(value, path, so_far, message));
  return message;
}

Status read_messages(const Json& body, Conversation& conversation) {
  const Json* messages = member(body, "messages");
  if (!messages || !messages->is_array()) return wrong_type("messages", "an array", messages);
  if (messages->empty())
    return fail(ErrorCode::kInvalidArgument, "messages: expected at least one, found none");
  if (messages->size() > kMaxMessages)
    return fail(ErrorCode::kLimit, "messages: expected at most {}, found {}", kMaxMessages, messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    ATELIER_TRY(Message message, message_of((*messages)[i], fmt::format("messages[{}]", i), conversation));
    conversation.messages.push_back(std::move(message));
  }
  return {};
}

Result<std::string> schema_text(const Json& object, const char* key, const std::string& path) {
  const Json* schema = member(object, key);
  if (absent(schema)) return std::string();
  if (!schema->is_object())
    return wrong_type(fmt::format("{}.{}", path, key), "a JSON Schema object", schema);
  std::string text = compact_json(*schema);
  if (text.size() > kMaxSchemaBytes)
    return fail(ErrorCode::kLimit, "{}.{}: expected at most {} bytes, found {}", path, key, kMaxSchemaBytes,
                text.size());
  return text;
}

std::optional<BuiltinTool> builtin_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, BuiltinTool>, 4> kNames = {{
      {"browser", BuiltinTool::kBrowser},
      {"python", BuiltinTool::kPython},
      {"container", BuiltinTool::kContainer},
      {"repo_browser", BuiltinTool::kRepoBrowser},
  }};
  for (const auto& [known, tool] : kNames)
    if (name == known) return tool;
  return std::nullopt;
}

void add_builtin(BuiltinTool tool, Conversation& conversation) {
  auto& tools = conversation.builtin_tools;
  if (std::ranges::find(tools, tool) == tools.end()) tools.push_back(tool);
}

// Names stand in headers and in JSON unescaped, so they must not look like anything else.
bool is_tool_name(std::string_view name) {
  constexpr size_t kMaxNameBytes = 128;
  return !name.empty() && name.size() <= kMaxNameBytes && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

Status read_tool(const Json& value, const std::string& path, Conversation& conversation) {
  if (!value.is_object()) return wrong_type(path, "an object", &value);
  ATELIER_TRY(const std::string type, required_string(value, "type", path));
  if (const auto builtin = builtin_of(type)) {
    add_builtin(*builtin, conversation);
    return {};
  }
  if (type != "function")
    return wrong_word(path + ".type", "function, browser, python, container or repo_browser", type);
  const Json* function = member(value, "function");
  if (!function || !function->is_object()) return wrong_type(path + ".function", "an object", function);
  FunctionTool tool;
  ATELIER_TRY(tool.name, required_string(*function, "name", path + ".function"));
  ATELIER_TRY(tool.description, optional_string(*function, "description", path + ".function"));
  ATELIER_TRY(tool.parameters, schema_text(*function, "parameters", path + ".function"));
  return add_tool(conversation, std::move(tool), path + ".function");
}

Status read_tools(const Json& body, Conversation& conversation) {
  const Json* tools = member(body, "tools");
  if (absent(tools)) return {};
  if (!tools->is_array()) return wrong_type("tools", "an array", tools);
  for (size_t i = 0; i < tools->size(); ++i)
    ATELIER_CHECK_OK(read_tool((*tools)[i], fmt::format("tools[{}]", i), conversation));
  return {};
}

Status read_tool_choice(const Json& body, Conversation& conversation) {
  const Json* choice = member(body, "tool_choice");
  if (absent(choice)) return {};
  if (choice->is_string()) {
    const std::string& word = choice->get_ref<const std::string&>();
    for (const auto& [name, kind] :
         {std::pair("auto", ToolChoice::Kind::kAuto), std::pair("none", ToolChoice::Kind::kNone),
          std::pair("required", ToolChoice::Kind::kRequired)})
      if (word == name) return choose_tool(conversation, {kind, {}}, "tool_choice");
    return wrong_word("tool_choice", "auto, none, required or a function", word);
  }
  const Json* function = member(*choice, "function");
  if (!function) return wrong_type("tool_choice.function", "an object", function);
  ATELIER_TRY(std::string name, required_string(*function, "name", "tool_choice.function"));
  return choose_tool(conversation, {ToolChoice::Kind::kFunction, std::move(name)},
                     "tool_choice.function.name");
}

// Extensions of ours: {"type": "regex", "regex": "…"} and {"type": "grammar", "grammar": "… in GBNF"}, and
// the same members of the body itself.
Result<bool> read_text_format(const Json& object, std::string_view path, ResponseFormat& out) {
  for (const auto& [name, kind] : {std::pair("regex", ResponseFormat::Kind::kRegex),
                                   std::pair("grammar", ResponseFormat::Kind::kGrammar)}) {
    ATELIER_TRY(std::string text, optional_string(object, name, path));
    if (text.empty()) continue;
    out = {.kind = kind, .schema = std::move(text)};
    return true;
  }
  return false;
}

Status read_response_format(const Json& body, Conversation& conversation) {
  const Json* format = member(body, "response_format");
  ATELIER_TRY(const bool beside, read_text_format(body, "body", conversation.response_format));
  if (beside && !absent(format))
    return fail(ErrorCode::kInvalidArgument,
                "response_format: expected none beside a regular expression or grammar, found one");
  if (absent(format)) return {};
  ATELIER_TRY(const std::string type, required_string(*format, "type", "response_format"));
  ResponseFormat& out = conversation.response_format;
  if (type == "text") return {};
  if (type == "json_object") {
    out.kind = ResponseFormat::Kind::kJsonObject;
    return {};
  }
  if (type == "regex" || type == "grammar") {
    ATELIER_TRY(const bool found, read_text_format(*format, "response_format", out));
    if (!found || (out.kind == ResponseFormat::Kind::kRegex) != (type == "regex"))
      return wrong_type("response_format." + type, "a string", member(*format, type.c_str()));
    return {};
  }
  if (type != "json_schema")
    return wrong_word("response_format.type", "text, json_object, json_schema, regex or grammar", type);
  const std::string path = "response_format.json_schema";
  const Json* schema = member(*format, "json_schema");
  if (!schema || !schema->is_object()) return wrong_type(path, "an object", schema);
  out.kind = ResponseFormat::Kind::kJsonSchema;
  ATELIER_TRY(out.name, required_string(*schema, "name", path));
  ATELIER_TRY(out.description, optional_string(*schema, "description", path));
  ATELIER_TRY(out.schema, schema_text(*schema, "schema", path));
  if (out.schema.empty()) return wrong_type(path + ".schema", "a JSON Schema object", nullptr);
  return {};
}

Status read_effort(const Json& object, std::string_view path, Conversation& conversation) {
  ATELIER_TRY(const std::string word, optional_string(object, "reasoning_effort", path));
  if (word.empty()) return {};
  if (word == "low" || word == "minimal" || word == "none")
    conversation.reasoning_effort = ReasoningEffort::kLow;
  else if (word == "medium")
    conversation.reasoning_effort = ReasoningEffort::kMedium;
  else if (word == "high" || word == "xhigh")
    conversation.reasoning_effort = ReasoningEffort::kHigh;
  else
    return wrong_word(fmt::format("{}.reasoning_effort", path), "low, medium or high", word);
  return {};
}

// What is left when the arguments that mean something to every dialect are taken out.
Status keep_template_arguments(const Json& arguments, Conversation& conversation) {
  constexpr std::string_view kTaken[] = {"reasoning_effort", "builtin_tools", "conversation_start_date"};
  Json rest = Json::object();
  for (const auto& [name, value] : arguments.items())
    if (std::ranges::find(kTaken, name) == std::end(kTaken)) rest[name] = value;
  if (rest.empty()) return {};
  conversation.template_arguments = compact_json(rest);
  if (conversation.template_arguments.size() > kMaxSchemaBytes)
    return fail(ErrorCode::kLimit, "chat_template_kwargs: expected at most {} bytes, found {}",
                kMaxSchemaBytes, conversation.template_arguments.size());
  return {};
}

Status read_template_arguments(const Json& body, Conversation& conversation) {
  const std::string path = "chat_template_kwargs";
  const Json* arguments = member(body, path.c_str());
  if (absent(arguments)) return {};
  if (!arguments->is_object()) return wrong_type(path, "an object", arguments);
  ATELIER_CHECK_OK(read_effort(*arguments, path, conversation));
  ATELIER_CHECK_OK(keep_template_arguments(*arguments, conversation));
  ATELIER_TRY(conversation.date, optional_string(*arguments, "conversation_start_date", path));
  const Json* builtins = member(*arguments, "builtin_tools");
  if (absent(builtins)) return {};
  if (!builtins->is_array()) return wrong_type(path + ".builtin_tools", "an array", builtins);
  for (size_t i = 0; i < builtins->size(); ++i) {
    const Json& name = (*builtins)[i];
    const std::string where = fmt::format("{}.builtin_tools[{}]", path, i);
    if (!name.is_string()) return wrong_type(where, "a string", &name);
    const auto tool = builtin_of(name.get_ref<const std::string&>());
    if (!tool)
      return wrong_word(where, "browser, python, container or repo_browser", name.get<std::string>());
    add_builtin(*tool, conversation);
  }
  return {};
}

}  // namespace

Status add_tool(Conversation& conversation, FunctionTool tool, const std::string& path) {
  if (!is_tool_name(tool.name))
    return wrong_word(path + ".name", "1 to 128 letters, digits, '_', '-' or '.'", tool.name);
  if (std::ranges::any_of(conversation.tools, [&](const FunctionTool& t) { return t.name == tool.name; }))
    return wrong_word(path + ".name", "a name that no other tool has", tool.name);
  if (tool.parameters.size() > kMaxSchemaBytes)
    return fail(ErrorCode::kLimit, "{}.parameters: expected at most {} bytes, found {}", path,
                kMaxSchemaBytes, tool.parameters.size());
  if (conversation.tools.size() == kMaxTools)
    return fail(ErrorCode::kLimit, "tools: expected at most {}, found more", kMaxTools);
  conversation.tools.push_back(std::move(tool));
  return {};
}

Status choose_tool(Conversation& conversation, ToolChoice choice, const std::string& path) {
  const bool none_declared = conversation.tools.empty() && conversation.builtin_tools.empty();
  if (choice.kind == ToolChoice::Kind::kRequired && none_declared)
    return fail(ErrorCode::kInvalidArgument, "{}: expected declared tools to choose from, found none", path);
  if (choice.kind == ToolChoice::Kind::kFunction &&
      std::ranges::none_of(conversation.tools, [&](const FunctionTool& t) { return t.name == choice.name; }))
    return wrong_word(path, "the name of a declared tool", choice.name);
  conversation.tool_choice = std::move(choice);
  return {};
}

const ToolCall* find_call(const Conversation& conversation, std::string_view id) {
  for (size_t i = conversation.messages.size(); i-- > 0;) {
    const auto& calls = conversation.messages[i].tool_calls;
    for (size_t k = calls.size(); k-- > 0;)
      if (id.empty() || calls[k].id == id) return &calls[k];
  }
  return nullptr;
}

Result<Conversation> parse_completions_body(const Json& body) {
  if (!body.is_object()) return wrong_type("body", "an object", &body);
  if (!depth_within_limit(body))
    return fail(ErrorCode::kLimit, "body: expected JSON nested at most {} deep, found more", kMaxJsonDepth);
  Conversation conversation;
  ATELIER_CHECK_OK(read_messages(body, conversation));
  ATELIER_CHECK_OK(read_tools(body, conversation));
  ATELIER_CHECK_OK(read_tool_choice(body, conversation));
  if (const Json* parallel = member(body, "parallel_tool_calls"); !absent(parallel)) {
    if (!parallel->is_boolean()) return wrong_type("parallel_tool_calls", "true or false", parallel);
    conversation.parallel_tool_calls = parallel->get<bool>();
  }
  ATELIER_CHECK_OK(read_response_format(body, conversation));
  ATELIER_CHECK_OK(read_template_arguments(body, conversation));
  ATELIER_CHECK_OK(read_effort(body, "body", conversation));
  return conversation;
}

Result<Conversation> parse_completions_body(std::string_view text) {
  ATELIER_TRY(const Json body, parse_json(text, "body"));
  return parse_completions_body(body);
}

Json turn_json(const Message& message, const Parser& parser) {
  Json out = {{"messages", Json::array()}};
  for (const RawMessage& raw : parser.raw_messages()) {
    Json item = {{"role", raw.role}};
    if (!raw.channel.empty()) item["channel"] = raw.channel;
    if (!raw.recipient.empty()) item["recipient"] = raw.recipient;
    if (!raw.content_type.empty()) item["content_type"] = raw.content_type;
    item["content"] = raw.content;
    out["messages"].push_back(std::move(item));
  }
  out["role"] = "assistant";
  if (!message.reasoning.empty()) out["reasoning"] = message.reasoning;
  if (!message.preamble.empty()) out["preamble"] = message.preamble;
  out["content"] = message.content;
  for (const ToolCall& call : message.tool_calls)
    out["tool_calls"].push_back({{"id", call.id},
                                 {"type", "function"},
                                 {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  const FinishReason reason = parser.finish_reason();
  out["finish_reason"] = reason == FinishReason::kStop        ? "stop"
                         : reason == FinishReason::kToolCalls ? "tool_calls"
                                                              : "length";
  return out;
}

}  // namespace atelier::chat
