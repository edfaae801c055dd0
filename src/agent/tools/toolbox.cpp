#include "agent/tools/toolbox.h"

#include <algorithm>

#include "agent/tools/programs.h"
#include "agent/workspace/quote.h"
#include "engine/constraint/json_schema.h"

namespace atelier::agent {

Toolbox::Toolbox(const ToolHost& host, ToolNames names) : names_(names) {
  tools_.push_back(make_shell_tool(host));
  tools_.push_back(make_print_tree_tool(host));
  tools_.push_back(make_search_tool(host));
  tools_.push_back(make_open_file_tool(host));
  tools_.push_back(make_apply_patch_tool(host));
  if (names == ToolNames::kFunctions) {
    tools_.push_back(make_replace_tool(host));
    tools_.push_back(make_write_file_tool(host));
  }
  if (host.jobs != nullptr) tools_.push_back(make_job_tool(host));
  if (has_program("python3")) tools_.push_back(make_python_tool(host));
  tools_.push_back(make_plan_tool());
}

const std::string& Toolbox::name_of(const Tool& tool) const {
  const ToolSpec& spec = tool.spec();
  return names_ == ToolNames::kHarmony && !spec.harmony_name.empty() ? spec.harmony_name : spec.name;
}

Tool* Toolbox::find(std::string_view name) const {
  constexpr std::string_view kFunctions = "functions.";
  if (name.starts_with(kFunctions)) name.remove_prefix(kFunctions.size());
  for (const auto& tool : tools_) {
    const ToolSpec& spec = tool->spec();
    if (name == spec.name || (!spec.harmony_name.empty() && name == spec.harmony_name)) return tool.get();
  }
  for (const auto& tool : tools_)
    if (std::ranges::find(tool->spec().aliases, name) != tool->spec().aliases.end()) return tool.get();
  return nullptr;
}

void Toolbox::declare(chat::Conversation& conversation) const {
  if (names_ == ToolNames::kHarmony)
    conversation.builtin_tools = {chat::BuiltinTool::kContainer, chat::BuiltinTool::kRepoBrowser};
  if (names_ == ToolNames::kHarmony && find("python") != nullptr)
    conversation.builtin_tools.push_back(chat::BuiltinTool::kPython);
  for (const auto& tool : tools_) {
    const ToolSpec& spec = tool->spec();
    if (names_ == ToolNames::kHarmony && !spec.harmony_name.empty()) continue;
    conversation.tools.push_back(
        {.name = spec.name, .description = spec.description, .parameters = spec.schema});
  }
}

Status Toolbox::add(std::unique_ptr<Tool> tool) {
  const auto held = constraint::compile_json_schema(tool->spec().schema, {.object_only = true});
  if (!held) unheld_.insert(tool.get());
  tools_.push_back(std::move(tool));
  return held.map([](const auto&) {});
}

const std::string& Toolbox::arguments_schema(const Tool& tool) const {
  static const std::string any = "{}";
  if (unheld_.contains(&tool)) return any;
  const ToolSpec& spec = tool.spec();
  return names_ == ToolNames::kHarmony && !spec.harmony_arguments.empty() ? spec.harmony_arguments
                                                                          : spec.schema;
}

Result<Json> parse_arguments(const Tool& tool, std::string_view text) {
  Result<Json> parsed = chat::parse_json(text, "arguments");
  // A body is code; that it may look like JSON means nothing to Python.
  if (tool.spec().name == "python" && !(parsed && text_argument(*parsed, {"code", "input"})))
    return Json{{"code", text}};
  if (parsed && parsed->is_object()) return parsed;
  // gpt-oss calls its own tools with code as well: a patch, or a command line, as it stands.
  const bool is_json = parsed && !parsed->is_string();
  const std::string bare = parsed && parsed->is_string() ? parsed->get<std::string>() : std::string(text);
  if (!is_json && bare.find_first_not_of(" \t\r\n") != std::string::npos) {
    if (tool.spec().name == "apply_patch" && bare.find("*** ") != std::string::npos)
      return Json{{"patch", bare}};
    if (tool.spec().kind == ToolKind::kCommand && !bare.starts_with('{') && !bare.starts_with('['))
      return Json{{"command", bare}};
  }
  if (parsed && parsed->is_array() && tool.spec().kind == ToolKind::kCommand) return Json{{"cmd", *parsed}};
  if (!parsed) return tl::unexpected<Error>(std::move(parsed).error());
  return fail(ErrorCode::kInvalidArgument, "arguments: expected an object, found {}", in_quotes(text));
}

}  // namespace atelier::agent
