// The body of /v1/responses → a task.
#include "chat/completions_body.h"
#include "server/custom_input.h"
#include "server/limits.h"
#include "server/responses.h"
#include "server/sampling_fields.h"

namespace atelier::server {
namespace {

using chat::Conversation;

// Hosted tools and what only OpenAI's own service can do: better refused than silently left out.
Status refuse_unsupported(const Fields& body) {
  ATELIER_TRY(const auto background, body.boolean("background"));
  if (background.value_or(false))
    return fail(ErrorCode::kUnsupported,
                "background: expected false, found true: responses are not run later");
  for (const char* key : {"conversation", "prompt"})
    if (body.find(key) != nullptr)
      return fail(ErrorCode::kUnsupported, "{}: expected none, found one: it names something at OpenAI's",
                  key);
  return {};
}

// Searching the web is a hosted tool that agents offer whoever they talk to: a model that is not offered it
// does without.
bool is_left_out(std::string_view type) { return type.starts_with("web_search"); }

// `space`: the namespace it stands in, if any.
Status read_tool(const Json& json, const std::string& path, const std::string& space,
                 ResponsesRequest& request) {
  if (!json.is_object())
    return fail(ErrorCode::kInvalidArgument, "{}: expected an object, found {}", path, shown(&json));
  const Fields fields(json, path + ".");
  ATELIER_TRY(const std::string type, fields.required_text("type"));
  if (is_left_out(type)) return {};
  if (type == "namespace" && space.empty()) {
    ATELIER_TRY(const std::string name, fields.required_text("name"));
    ATELIER_TRY(const Json* tools, fields.array("tools"));
    for (size_t i = 0; tools != nullptr && i < tools->size(); ++i)
      ATELIER_CHECK_OK(read_tool((*tools)[i], fmt::format("{}.tools[{}]", path, i), name, request));
    return {};
  }
  if (type != "function" && type != "custom")
    return fail(ErrorCode::kUnsupported,
                "{}.type: expected function or custom, found {}: this server runs no tools itself", path,
                shown(fields.find("type")));
  chat::FunctionTool tool;
  ATELIER_TRY(tool.name, fields.required_text("name"));
  if (!space.empty()) {
    NamespacedTool named{space, tool.name};
    tool.name = space + "." + tool.name;
    request.namespaced_tools[tool.name] = std::move(named);
  }
  ATELIER_TRY(auto description, fields.text("description"));
  tool.description = description.value_or("");
  if (type == "function") {
    ATELIER_TRY(const Json* schema, fields.object("parameters"));
    if (schema != nullptr) tool.parameters = chat::compact_json(*schema);
  } else {
    ATELIER_TRY(const Json* format, fields.object("format"));
    const std::string* definition = format == nullptr ? nullptr : chat::string_member(*format, "definition");
    if (definition != nullptr)
      tool.description += (tool.description.empty() ? "" : "\n\n") + ("The input's grammar:\n" + *definition);
    tool.parameters = kCustomToolSchema;
    request.custom_tools.insert(tool.name);
  }
  return chat::add_tool(*request.task.conversation, std::move(tool), path);
}

Status read_tools(const Fields& body, ResponsesRequest& request) {
  ATELIER_TRY(const Json* tools, body.array("tools"));
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i)
    ATELIER_CHECK_OK(read_tool((*tools)[i], fmt::format("tools[{}]", i), "", request));
  Conversation& conversation = *request.task.conversation;
  ATELIER_TRY(const auto parallel, body.boolean("parallel_tool_calls"));
  conversation.parallel_tool_calls = parallel.value_or(true);
  const Json* choice = body.find("tool_choice");
  if (choice == nullptr) return {};
  using Kind = chat::ToolChoice::Kind;
  const auto word = [&](const Json& value) {
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  if (word(*choice) == "auto") return {};
  if (word(*choice) == "none") return chat::choose_tool(conversation, {Kind::kNone, {}}, "tool_choice");
  if (word(*choice) == "required")
    return chat::choose_tool(conversation, {Kind::kRequired, {}}, "tool_choice");
  if (!choice->is_object())
    return body.wrong("tool_choice", "auto, none, required, or a function or custom tool", choice);
  const Fields fields(*choice, "tool_choice.");
  ATELIER_TRY(const std::string type, fields.required_text("type"));
  if (type != "function" && type != "custom")
    return fields.wrong("type", "function or custom", fields.find("type"));
  ATELIER_TRY(std::string name, fields.required_text("name"));
  return chat::choose_tool(conversation, {Kind::kFunction, std::move(name)}, "tool_choice.name");
}

Status read_format(const Fields& body, Conversation& conversation) {
  ATELIER_TRY(const Json* text, body.object("text"));
  const Json* format = text == nullptr ? nullptr : chat::member(*text, "format");
  if (format == nullptr || format->is_null()) return {};
  if (!format->is_object()) return body.wrong("text.format", "an object", format);
  const Fields fields(*format, "text.format.");
  ATELIER_TRY(const std::string type, fields.required_text("type"));
  chat::ResponseFormat& out = conversation.response_format;
  if (type == "text") return {};
  if (type == "json_object") {
    out.kind = chat::ResponseFormat::Kind::kJsonObject;
    return {};
  }
  if (type != "json_schema")
    return fields.wrong("type", "text, json_object or json_schema", fields.find("type"));
  out.kind = chat::ResponseFormat::Kind::kJsonSchema;
  ATELIER_TRY(out.name, fields.required_text("name"));
  ATELIER_TRY(auto description, fields.text("description"));
  out.description = description.value_or("");
  ATELIER_TRY(const Json* schema, fields.object("schema"));
  if (schema == nullptr) return fields.wrong("schema", "a JSON Schema object", nullptr);
  out.schema = chat::compact_json(*schema);
  if (out.schema.size() > chat::kMaxSchemaBytes)
    return fail(ErrorCode::kLimit, "text.format.schema: expected at most {} bytes, found {}",
                chat::kMaxSchemaBytes, out.schema.size());
  return {};
}

Status read_reasoning(const Fields& body, Conversation& conversation) {
  ATELIER_TRY(const Json* reasoning, body.object("reasoning"));
  if (reasoning == nullptr) return {};
  const Fields fields(*reasoning, "reasoning.");
  ATELIER_TRY(const auto effort, fields.text("effort"));
  if (!effort) return {};
  using chat::ReasoningEffort;
  if (*effort == "none" || *effort == "minimal" || *effort == "low")
    conversation.reasoning_effort = ReasoningEffort::kLow;
  else if (*effort == "medium")
    conversation.reasoning_effort = ReasoningEffort::kMedium;
  else if (*effort == "high" || *effort == "xhigh")
    conversation.reasoning_effort = ReasoningEffort::kHigh;
  else
    return fields.wrong("effort", "low, medium or high", fields.find("effort"));
  return {};
}

// All items of the conversation: those of the previous response, then the input, references resolved.
Status read_items(const Fields& body, ResponseStore& store, ResponsesRequest& request) {
  ATELIER_TRY(const auto previous, body.text("previous_response_id"));
  if (previous) {
    const auto stored = store.get(*previous);
    if (!stored)
      return fail(ErrorCode::kNotFound, "previous_response_id: expected a stored response, found \"{}\"",
                  previous->substr(0, 100));
    ATELIER_TRY(request.items, chat::parse_json(stored->items, "previous_response_id"));
    request.n_items_before = request.items.size();
  }
  const Json* input = body.find("input");
  if (input == nullptr && previous) return {};
  if (input == nullptr || (!input->is_string() && !input->is_array()))
    return body.wrong("input", "a text or a list of items", input);
  if (input->is_string()) {
    request.items.push_back({{"type", "message"}, {"role", "user"}, {"content", *input}});
    return {};
  }
  for (const Json& item : *input) {
    const std::string* type = chat::string_member(item, "type");
    if (type != nullptr && *type == "item_reference") {
      const Json* id = chat::member(item, "id");
      const auto known = std::ranges::find_if(request.items, [&](const Json& other) {
        return id != nullptr && other.value("id", Json()) == *id;
      });
      if (known == request.items.end())
        return fail(ErrorCode::kNotFound,
                    "input: expected references to items of the previous response, found {}", shown(id));
      continue;  // it is in the conversation already
    }
    request.items.push_back(item);
  }
  return {};
}

Json or_null(const Json* value) { return value == nullptr ? Json() : *value; }

// What the response object repeats of the request, with the API's defaults.
void echo_members(const Fields& body, ResponsesRequest& request) {
  OrderedJson& echo = request.echo;
  const auto or_default = [&](const char* key, const Json& fallback) {
    const Json* value = body.find(key);
    echo[key] = value == nullptr ? fallback : *value;
  };
  or_default("instructions", nullptr);
  or_default("max_output_tokens", nullptr);
  echo["max_tool_calls"] = nullptr;
  or_default("metadata", Json::object());
  or_default("parallel_tool_calls", true);
  or_default("previous_response_id", nullptr);
  or_default("prompt_cache_key", nullptr);
  const Json* reasoning = body.find("reasoning");
  echo["reasoning"] = {
      {"effort", reasoning == nullptr ? Json() : or_null(chat::member(*reasoning, "effort"))},
      {"summary", nullptr}};
  or_default("safety_identifier", nullptr);
  echo["service_tier"] = "default";
  echo["store"] = request.store;
  or_default("temperature", 1.0);
  or_default("text", {{"format", {{"type", "text"}}}});
  or_default("tool_choice", "auto");
  or_default("tools", Json::array());
  or_default("top_logprobs", 0);
  or_default("top_p", 1.0);
  or_default("truncation", "disabled");
  or_default("user", nullptr);
}

bool includes(const Fields& body, std::string_view what) {
  const Json* include = body.find("include");
  return include != nullptr && include->is_array() &&
         std::ranges::find(*include, Json(what)) != include->end();
}

}  // namespace

Result<ResponsesRequest> parse_responses_request(const Json& json, ResponseStore& store) {
  const Fields body(json);
  ResponsesRequest request;
  Task& task = request.task;
  Conversation& conversation = task.conversation.emplace();
  ATELIER_CHECK_OK(refuse_unsupported(body));
  ATELIER_TRY(auto model, body.text("model"));
  task.model = model.value_or("");
  ATELIER_TRY(auto instructions, body.text("instructions"));
  if (instructions && !instructions->empty())
    conversation.messages.push_back({.role = chat::Role::kSystem, .content = std::move(*instructions)});
  ATELIER_CHECK_OK(read_items(body, store, request));
  ATELIER_CHECK_OK(read_input_items(request.items, conversation));
  if (conversation.messages.empty()) return body.wrong("input", "at least one item", body.find("input"));
  ATELIER_CHECK_OK(read_tools(body, request));
  ATELIER_CHECK_OK(read_format(body, conversation));
  ATELIER_CHECK_OK(read_reasoning(body, conversation));
  ATELIER_CHECK_OK(read_sampling(body, task.sampling));
  ATELIER_CHECK_OK(read_stops(body, "stop", task.stop));
  ATELIER_TRY(const auto max_tokens, body.integer("max_output_tokens", 1, kMaxTokensField));
  if (max_tokens) task.max_tokens = static_cast<size_t>(*max_tokens);
  ATELIER_TRY(const auto top, body.integer("top_logprobs", 0, kMaxTopLogprobs));
  if (top.value_or(0) > 0 || includes(body, "message.output_text.logprobs"))
    task.top_logprobs = static_cast<size_t>(top.value_or(0));
  ATELIER_TRY(const auto stream, body.boolean("stream"));
  request.stream = stream.value_or(false);
  ATELIER_TRY(const auto keep, body.boolean("store"));
  request.store = keep.value_or(true);
  echo_members(body, request);
  return request;
}

}  // namespace atelier::server
