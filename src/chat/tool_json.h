// Tools as the JSON that chat templates show to the model.
#pragma once

#include <string>
#include <string_view>

#include "chat/conversation.h"
#include "chat/json_text.h"

namespace atelier::chat {

// {"type": "function", "function": {"name", "description", "parameters"}}, absent parts left out.
Result<Json> tool_json(const FunctionTool& tool);

// The arguments of a call in Python's spelling; as they stand if they are no JSON.
std::string arguments_json(const ToolCall& call);

// kUnsupported if the conversation has built-in tools: only harmony models know them.
Status refuse_builtin_tools(const Conversation& conversation, std::string_view dialect);

}  // namespace atelier::chat
