#include "agent/remote/completions_request.h"

#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

Json message_json(const chat::Message& message) {
  // There is no developer role everywhere.
  const bool system = message.role == chat::Role::kDeveloper;
  Json json = {{"role", system ? "system" : std::string(chat::role_name(message.role))}};
  json["content"] = message.preamble + message.content;
  if (message.role == chat::Role::kTool) json["tool_call_id"] = message.tool_call_id;
  for (const chat::ToolCall& call : message.tool_calls) {
    // Servers read them; those that were cut off are no JSON.
    const auto arguments = chat::parse_json(call.arguments, "arguments");
    const bool object = arguments && arguments->is_object();
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", object ? call.arguments : "{}"}}}});
  }
  return json;
}

// A turn that was interrupted before it began; servers refuse those.
bool says_nothing(const chat::Message& message) {
  return message.role == chat::Role::kAssistant && message.preamble.empty() && message.content.empty() &&
         message.tool_calls.empty();
}

Json schema_json(const std::string& text) {
  Json schema = {{"type", "object"}, {"properties", Json::object()}};
  if (auto parsed = chat::parse_json(text, "schema"); parsed && parsed->is_object())
    schema = std::move(*parsed);
  return schema;
}

Json choice_json(const chat::ToolChoice& choice) {
  switch (choice.kind) {
    case chat::ToolChoice::Kind::kAuto:
      return "auto";
    case chat::ToolChoice::Kind::kNone:
      return "none";
    case chat::ToolChoice::Kind::kRequired:
      return "required";
    case chat::ToolChoice::Kind::kFunction:
      return {{"type", "function"}, {"function", {{"name", choice.name}}}};
  }
  return "auto";
}

}  // namespace

std::string completions_request(const chat::Conversation& conversation, const CompletionsOptions& options) {
  Json body = {{"model", options.model}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  body["messages"] = Json::array();
  for (const chat::Message& message : conversation.messages)
    if (!says_nothing(message)) body["messages"].push_back(message_json(message));
  for (const chat::FunctionTool& tool : conversation.tools)
    body["tools"].push_back({{"type", "function"},
                             {"function",
                              {{"name", tool.name},
                               {"description", tool.description},
                               {"parameters", schema_json(tool.parameters)}}}});
  if (!conversation.tools.empty()) {
    body["tool_choice"] = choice_json(conversation.tool_choice);
    body["parallel_tool_calls"] = false;
  }
  if (conversation.response_format.kind == chat::ResponseFormat::Kind::kJsonSchema)
    body["response_format"] = {{"type", "json_schema"},
                               {"json_schema",
                                {{"name", conversation.response_format.name},
                                 {"schema", schema_json(conversation.response_format.schema)}}}};
  if (conversation.reasoning_effort) {
    constexpr const char* kEfforts[] = {"low", "medium", "high"};
    body["reasoning_effort"] = kEfforts[static_cast<size_t>(*conversation.reasoning_effort)];
  }
  if (options.max_tokens) body["max_tokens"] = *options.max_tokens;
  if (options.temperature) body["temperature"] = *options.temperature;
  if (options.top_p) body["top_p"] = *options.top_p;
  if (options.seed) body["seed"] = *options.seed;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace atelier::agent
