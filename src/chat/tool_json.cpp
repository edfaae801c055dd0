#include "chat/tool_json.h"

namespace atelier::chat {

Result<Json> tool_json(const FunctionTool& tool) {
  Json function = {{"name", tool.name}};
  if (!tool.description.empty()) function["description"] = tool.description;
  if (!tool.parameters.empty()) {
    ATELIER_TRY(function["parameters"],
                parse_json(tool.parameters, fmt::format("parameters of tool {}", tool.name)));
  }
  return Json{{"type", "function"}, {"function", std::move(function)}};
}

std::string arguments_json(const ToolCall& call) {
  const auto arguments = parse_json(call.arguments, "arguments");
  return arguments ? python_json(*arguments) : call.arguments;
}

Status refuse_builtin_tools(const Conversation& conversation, std::string_view dialect) {
  if (conversation.builtin_tools.empty()) return {};
  return fail(ErrorCode::kUnsupported,
              "tools: expected functions only for a {} model, found a built-in tool of gpt-oss", dialect);
}

}  // namespace atelier::chat
