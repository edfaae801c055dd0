// Harmony, the format gpt-oss speaks, at the level of its own messages: openai/harmony's conversation types
// and their rendering. Source: docs/format.md and src/encoding.rs of that repository, version 0.0.8.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/prompt.h"

namespace atelier::chat::harmony {

// Ids of the control tokens (o200k_harmony: 200002–200012), looked up by name.
struct ControlTokens {
  TokenId start, end, message, channel, constrain, ret, call;
  std::optional<TokenId> endoftext;
  static Result<ControlTokens> of(const Tokenizer& tokenizer);
  bool ends_message(TokenId id) const { return id == end || id == ret || id == call || id == endoftext; }
};

struct ToolNamespace {
  std::string name;
  std::string description;  // may be empty
  std::vector<FunctionTool> tools;
};

struct Channels {
  std::vector<std::string> valid = {"analysis", "commentary", "final"};
  bool required = true;
};

struct SystemContent {
  std::optional<std::string> model_identity = "You are ChatGPT, a large language model trained by OpenAI.";
  std::optional<std::string> knowledge_cutoff = "2024-06";
  std::optional<std::string> date;
  std::optional<ReasoningEffort> reasoning_effort = ReasoningEffort::kMedium;
  std::vector<ToolNamespace> tools;
  Channels channels;
};

struct DeveloperContent {
  std::optional<std::string> instructions;
  std::vector<ToolNamespace> tools;
  std::optional<ResponseFormat> response_format;
};

struct Message {
  Role role = Role::kUser;
  std::string name;          // author; of a tool: its full name, required
  std::string recipient;     // empty: everybody
  std::string channel;       // empty: none
  std::string content_type;  // empty: none; may begin with "<|constrain|>"
  std::variant<std::string, SystemContent, DeveloperContent> content;
};

// The namespaces of the tools gpt-oss was trained with.
ToolNamespace builtin_namespace(BuiltinTool tool);
std::string_view builtin_name(BuiltinTool tool);  // "browser", "python", "container", "repo_browser"

// Appends the messages. Pieces are cut where the library cuts them, so that ids are the same.
Status render(std::span<const Message> messages, const ControlTokens& ids, Prompt& prompt);

// Removes the reasoning of finished turns: everything on the analysis channel before the last final answer
// that a later user message follows (format page, "Handling reasoning output in subsequent sampling").
std::vector<Message> without_finished_analysis(std::vector<Message> messages);

// The text below "# Tools" for namespaces, sorted by name.
Result<std::string> tools_section(std::span<const ToolNamespace> namespaces);

}  // namespace atelier::chat::harmony
