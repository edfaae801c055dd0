// The neutral conversation: what every dialect renders and every front end (command line, servers, agent)
// fills in. It knows no control tokens and no template.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::chat {

// Trust falls in this order; a dialect without a developer role shows it as system.
enum class Role : uint8_t { kSystem, kDeveloper, kUser, kAssistant, kTool };
std::string_view role_name(Role role);  // "system", "developer", …

struct ToolCall {
  std::string id{};         // unique within the conversation, e.g. "call_1"
  std::string name{};       // without namespace for declared functions, "browser.search" for built-in tools
  std::string arguments{};  // JSON text as the model wrote it; for the built-in `python`, the code itself
  bool complete = true;     // false: the turn was cut off inside the arguments
};

// One message. Fields that do not belong to the role stay empty. (The {} let callers name only some fields.)
struct Message {
  Role role = Role::kUser;
  std::string content{};               // text; of an assistant: what it finally answered
  std::string reasoning{};             // assistant: chain of thought, never shown as the answer
  std::string preamble{};              // assistant: text for the user that comes before tool calls
  std::vector<ToolCall> tool_calls{};  // assistant, in order
  std::string tool_call_id{};          // tool: the call this answers
  std::string tool_name{};             // tool: ToolCall::name of that call
  // Assistant: the ids of the turn as this model sampled them, from behind the prompt on. Dialects that can
  // render them instead of the text, so that a history that comes back finds its tokens where they were left.
  std::shared_ptr<const std::vector<int32_t>> sampled{};
};

struct FunctionTool {
  std::string name{};
  std::string description{};
  std::string parameters{};  // JSON Schema as JSON text; empty: the function takes no arguments
};

// Tools gpt-oss was trained with; harmony declares them in the system message and calls them on the analysis
// channel. Other dialects have no such notion and refuse them.
enum class BuiltinTool : uint8_t { kBrowser, kPython, kContainer, kRepoBrowser };

struct ResponseFormat {
  enum class Kind : uint8_t { kText, kJsonObject, kJsonSchema, kRegex, kGrammar };
  Kind kind = Kind::kText;
  std::string name{};         // of the schema
  std::string description{};  // may be empty
  std::string schema{};       // JSON Schema as JSON text; the regular expression; the grammar in GBNF
};

enum class ReasoningEffort : uint8_t { kLow, kMedium, kHigh };

struct ToolChoice {
  enum class Kind : uint8_t { kAuto, kNone, kRequired, kFunction };
  Kind kind = Kind::kAuto;
  std::string name{};  // kFunction
};

struct Conversation {
  std::vector<Message> messages{};
  std::vector<FunctionTool> tools{};
  std::vector<BuiltinTool> builtin_tools{};
  ToolChoice tool_choice{};
  bool parallel_tool_calls = true;  // false: a turn ends after its first call
  ResponseFormat response_format{};
  std::optional<ReasoningEffort> reasoning_effort{};  // unset: the dialect's default
  // ISO date shown to the model. Set once when the conversation starts: a date that moves would change the
  // first tokens of the prompt and with them everything that is cached. Empty: no date is shown.
  std::string date{};
  // Further variables of the model's own chat template (enable_thinking, …), a JSON object; empty: none.
  // Dialects we know by heart do not look at them.
  std::string template_arguments{};
};

// Today in local time, "2025-06-28".
std::string today();

}  // namespace atelier::chat
