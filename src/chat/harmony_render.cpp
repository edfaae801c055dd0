#include <algorithm>

#include "chat/dialect.h"
#include "chat/harmony.h"
#include "chat/harmony_schema.h"

namespace atelier::chat::harmony {
namespace {

constexpr std::string_view kConstrain = "<|constrain|>";

// The lines of a text without their ends; a final line end opens no further line.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

Result<std::string> function_type(const FunctionTool& tool) {
  std::string out;
  for (std::string_view line : lines_of(tool.description)) out += fmt::format("// {}\n", line);
  if (tool.parameters.empty()) return out + fmt::format("type {} = () => any;\n", tool.name);
  ATELIER_TRY(const Json schema,
              parse_json(tool.parameters, fmt::format("parameters of tool {}", tool.name)));
  if (schema.is_null()) return out + fmt::format("type {} = () => any;\n", tool.name);
  return out + fmt::format("type {} = (_: {}) => any;\n", tool.name, type_of_schema(schema));
}

Result<std::string> namespace_section(const ToolNamespace& space) {
  std::vector<std::string> parts = {fmt::format("## {}\n", space.name)};
  const std::string_view comment = space.tools.empty() ? "" : "// ";
  for (std::string_view line : lines_of(space.description))
    parts.push_back(fmt::format("{}{}", comment, line));
  if (!space.tools.empty()) {
    parts.push_back(fmt::format("namespace {} {{\n", space.name));
    for (const FunctionTool& tool : space.tools) {
      ATELIER_TRY(std::string type, function_type(tool));
      parts.push_back(std::move(type));
    }
    parts.push_back(fmt::format("}} // namespace {}", space.name));
  }
  return join(parts, "\n");
}

std::string_view effort_name(ReasoningEffort effort) {
  switch (effort) {
    case ReasoningEffort::kLow:
      return "low";
    case ReasoningEffort::kMedium:
      return "medium";
    case ReasoningEffort::kHigh:
      return "high";
  }
  return "medium";
}

Result<std::string> system_text(const SystemContent& system, bool has_functions) {
  std::vector<std::string> top;
  if (system.model_identity) top.push_back(*system.model_identity);
  if (system.knowledge_cutoff) top.push_back("Knowledge cutoff: " + *system.knowledge_cutoff);
  if (system.date) top.push_back("Current date: " + *system.date);
  std::vector<std::string> sections;
  if (!top.empty()) sections.push_back(join(top, "\n"));
  if (system.reasoning_effort)
    sections.push_back(fmt::format("Reasoning: {}", effort_name(*system.reasoning_effort)));
  if (!system.tools.empty()) {
    ATELIER_TRY(std::string tools, tools_section(system.tools));
    sections.push_back(std::move(tools));
  }
  if (!system.channels.valid.empty()) {
    std::string channels = fmt::format("# Valid channels: {}.", join(system.channels.valid, ", "));
    if (system.channels.required) channels += " Channel must be included for every message.";
    if (has_functions) channels += "\nCalls to these tools must go to the commentary channel: 'functions'.";
    sections.push_back(std::move(channels));
  }
  return join(sections, "\n\n");
}

std::string response_format_section(const ResponseFormat& format) {
  std::string out = fmt::format("# Response Formats\n\n## {}\n\n", format.name);
  for (std::string_view line : lines_of(format.description)) out += fmt::format("// {}\n", line);
  return out + format.schema;
}

Result<std::string> developer_text(const DeveloperContent& developer) {
  std::vector<std::string> sections;
  if (developer.instructions) {
    sections.emplace_back("# Instructions");
    sections.push_back(*developer.instructions);
  }
  if (!developer.tools.empty()) {
    ATELIER_TRY(std::string tools, tools_section(developer.tools));
    sections.push_back(std::move(tools));
  }
  if (developer.response_format) sections.push_back(response_format_section(*developer.response_format));
  return join(sections, "\n\n");
}

Result<std::string> content_text(const Message& message, bool has_functions) {
  if (const auto* system = std::get_if<SystemContent>(&message.content))
    return system_text(*system, has_functions);
  if (const auto* developer = std::get_if<DeveloperContent>(&message.content))
    return developer_text(*developer);
  return std::get<std::string>(message.content);
}

void render_header(const Message& message, const ControlTokens& ids, Prompt& prompt) {
  prompt.control(ids.start);
  if (message.role == Role::kTool) {
    prompt.piece(message.name);
  } else {
    prompt.piece(role_name(message.role));
    if (!message.name.empty()) prompt.piece(":" + message.name);
  }
  if (!message.recipient.empty() && message.recipient != "all") prompt.piece(" to=" + message.recipient);
  if (!message.channel.empty()) prompt.control(ids.channel).piece(message.channel);
  if (message.content_type.starts_with(kConstrain)) {
    prompt.piece(" ")
        .control(ids.constrain)
        .piece(std::string_view(message.content_type).substr(kConstrain.size()));
  } else if (!message.content_type.empty()) {
    prompt.piece(" " + message.content_type);
  }
  prompt.control(ids.message);
}

bool has_function_tools(std::span<const Message> messages) {
  return std::ranges::any_of(messages, [](const Message& message) {
    const auto* developer = std::get_if<DeveloperContent>(&message.content);
    return developer && std::ranges::any_of(developer->tools, [](const ToolNamespace& space) {
             return space.name == "functions" && !space.tools.empty();
           });
  });
}

}  // namespace

Result<ControlTokens> ControlTokens::of(const Tokenizer& tokenizer) {
  ControlTokens ids{};
  const std::pair<std::string_view, TokenId*> wanted[] = {
      {"<|start|>", &ids.start},     {"<|end|>", &ids.end},        {"<|message|>", &ids.message},
      {"<|channel|>", &ids.channel}, {kConstrain, &ids.constrain}, {"<|return|>", &ids.ret},
      {"<|call|>", &ids.call},
  };
  for (const auto& [text, id] : wanted) {
    ATELIER_TRY(*id, control_token(tokenizer, text));
  }
  ids.endoftext = tokenizer.find_token("<|endoftext|>");
  return ids;
}

Result<std::string> tools_section(std::span<const ToolNamespace> namespaces) {
  std::vector<ToolNamespace> sorted(namespaces.begin(), namespaces.end());
  std::ranges::sort(sorted, {}, &ToolNamespace::name);
  std::vector<std::string> sections = {"# Tools"};
  for (const ToolNamespace& space : sorted) {
    ATELIER_TRY(std::string section, namespace_section(space));
    sections.push_back(std::move(section));
  }
  return join(sections, "\n\n");
}

Status render(std::span<const Message> messages, const ControlTokens& ids, Prompt& prompt) {
  const bool has_functions = has_function_tools(messages);
  for (const Message& message : messages) {
    if (message.role == Role::kTool && message.name.empty())
      return fail(ErrorCode::kInvalidArgument, "tool message: expected the name of the tool, found none");
    ATELIER_TRY(const std::string text, content_text(message, has_functions));
    render_header(message, ids, prompt);
    prompt.piece(text);
    const bool is_call = message.role == Role::kAssistant && !message.recipient.empty();
    prompt.control(is_call ? ids.call : ids.end);
  }
  return {};
}

std::vector<Message> without_finished_analysis(std::vector<Message> messages) {
  const auto last_user = std::ranges::find(messages.rbegin(), messages.rend(), Role::kUser, &Message::role);
  const auto last_final = std::find_if(last_user, messages.rend(), [](const Message& message) {
    return message.role == Role::kAssistant && message.channel == "final";
  });
  const auto finished = messages.begin() + (messages.rend() - last_final);
  const auto kept = std::remove_if(messages.begin(), finished,
                                   [](const Message& message) { return message.channel == "analysis"; });
  messages.erase(kept, finished);
  return messages;
}

}  // namespace atelier::chat::harmony
