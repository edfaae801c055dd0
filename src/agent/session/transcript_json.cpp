#include "agent/session/transcript_json.h"

#include <array>

namespace atelier::agent {
namespace {

using chat::Json;
using chat::Message;

constexpr std::array kRoles = {chat::Role::kSystem, chat::Role::kDeveloper, chat::Role::kUser,
                               chat::Role::kAssistant, chat::Role::kTool};

struct TextField {
  const char* name;
  std::string Message::* member;
};
constexpr std::array<TextField, 5> kTexts = {{{"content", &Message::content},
                                              {"reasoning", &Message::reasoning},
                                              {"preamble", &Message::preamble},
                                              {"call_id", &Message::tool_call_id},
                                              {"tool", &Message::tool_name}}};

Result<chat::ToolCall> call_from(const Json& json) {
  const std::string *id = chat::string_member(json, "id"), *name = chat::string_member(json, "name"),
                    *arguments = chat::string_member(json, "arguments");
  if (id == nullptr || name == nullptr || arguments == nullptr)
    return fail(ErrorCode::kCorrupt, "message: expected a call with id, name and arguments, found none");
  return chat::ToolCall{
      .id = *id, .name = *name, .arguments = *arguments, .complete = chat::member(json, "cut") == nullptr};
}

}  // namespace

std::string message_text(const Message& message) {
  Json json = {{"role", chat::role_name(message.role)}};
  for (const TextField& field : kTexts)
    if (!(message.*field.member).empty()) json[field.name] = message.*field.member;
  for (const chat::ToolCall& call : message.tool_calls) {
    Json& added =
        json["calls"].emplace_back(Json{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
    if (!call.complete) added["cut"] = true;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Message> message_from(const Json& json) {
  Message message;
  const std::string* name = chat::string_member(json, "role");
  const auto* role = name == nullptr ? kRoles.end() : std::ranges::find(kRoles, *name, chat::role_name);
  if (role == kRoles.end()) return fail(ErrorCode::kCorrupt, "message: expected a role, found none");
  message.role = *role;
  for (const TextField& field : kTexts)
    if (const std::string* text = chat::string_member(json, field.name)) message.*field.member = *text;
  if (const Json* calls = chat::member(json, "calls"); calls != nullptr && calls->is_array())
    for (const Json& call : *calls) {
      ATELIER_TRY(message.tool_calls.emplace_back(), call_from(call));
    }
  return message;
}

}  // namespace atelier::agent
