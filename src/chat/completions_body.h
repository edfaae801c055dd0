// The body of a Chat Completions request, as far as it concerns the conversation.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/dialect.h"
#include "chat/json_text.h"

namespace atelier::chat {

// Documented limits; more is refused with kLimit.
inline constexpr size_t kMaxMessages = 4096;
inline constexpr size_t kMaxTools = 256;
inline constexpr size_t kMaxSchemaBytes = 256 * 1024;  // of one schema as text

// Reads messages, tools, tool_choice, parallel_tool_calls, response_format, reasoning_effort and
// chat_template_kwargs (reasoning_effort, builtin_tools, conversation_start_date; the rest are variables of
// the model's own template); other members are not looked at. Built-in tools of gpt-oss also stand in `tools`
// as {"type": "browser"}, "python", "container" or "repo_browser". Reasoning of earlier turns is taken from
// reasoning_content, reasoning or thinking. A tool's result gets its name from the call with its
// tool_call_id. Text beside tool calls is a preamble. Errors name the path, what was expected and what was
// found:
//   messages[2].content: expected a string or an array of parts, found number
Result<Conversation> parse_completions_body(const Json& body);
Result<Conversation> parse_completions_body(std::string_view text);

// What other bodies that declare tools check as well. `path` names the tool or the choice in errors.
Status add_tool(Conversation& conversation, FunctionTool tool, const std::string& path);
Status choose_tool(Conversation& conversation, ToolChoice choice, const std::string& path);

// The latest call with this id; without an id, the latest call. Null if there is none.
const ToolCall* find_call(const Conversation& conversation, std::string_view id);

// A finished turn for people and programs: {"messages": […] as the model wrote them with role, channel,
// recipient, content_type and content; "reasoning", "preamble", "content", "tool_calls" as in Chat
// Completions; "finish_reason": "stop", "tool_calls" or "length"}. Absent parts are left out, "content" never
// is.
Json turn_json(const Message& message, const Parser& parser);

}  // namespace atelier::chat
