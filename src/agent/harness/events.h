// What an agent tells whoever watches: a terminal, a stream of JSON lines, a test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tools/tool.h"

namespace atelier::agent {

// One thing that happened in a turn.
struct Item {
  enum class Kind : uint8_t { kReasoning, kMessage, kCommand, kPatch, kPlan, kTool };
  enum class State : uint8_t { kRunning, kCompleted, kFailed, kDeclined };

  std::string id{};  // "item_3", unique in the session
  Kind kind = Kind::kTool;
  State state = State::kRunning;
  std::string text{};       // reasoning, message: so far; of the others: one line, such as the command
  std::string tool{};       // as the model called it
  std::string arguments{};  // JSON
  std::string output{};     // what the tool said; of a command that runs: so far
  std::optional<int> exit_code{};
  std::vector<FileChange> changes{};
  std::vector<PlanStep> plan{};
  bool final = false;  // kMessage: the answer, not a remark on the way
};
std::string_view item_kind_name(
    Item::Kind kind);  // "reasoning", "message", "command", "patch", "plan", "tool"
std::string_view item_state_name(Item::State state);  // "in_progress", "completed", "failed", "declined"

struct AgentUsage {
  size_t steps = 0;          // turns of the model
  size_t prompt_tokens = 0;  // of all steps
  size_t cached_tokens = 0;  // of these, not computed again
  size_t output_tokens = 0;
  size_t forced_tokens = 0;   // of these, not sampled: there was no choice
  size_t context_tokens = 0;  // the conversation has now
  size_t context_limit = 0;
  double prefill_seconds = 0, decode_seconds = 0, tool_seconds = 0;
  double engine_seconds = 0;  // of decoding; the rest is the agent's own
  double reuse = 1;           // the least part of a turn that the next one found computed
};

class AgentObserver {
 public:
  virtual ~AgentObserver() = default;
  virtual void on_turn_started() {}
  // Tokens of a prompt computed so far.
  virtual void on_prefill(size_t /*done*/, size_t /*total*/) {}
  // A token or so more of a call whose item has not begun.
  virtual void on_call_text(std::string_view /*tool*/, std::string_view /*more*/) {}
  enum class Phase : uint8_t { kStarted, kUpdated, kCompleted };
  // `more`: with kUpdated, what was added to text or output.
  virtual void on_item(Phase /*phase*/, const Item& /*item*/, std::string_view /*more*/) {}
  // For people: a compaction, a loop.
  virtual void on_note(std::string_view /*text*/) {}
  virtual void on_usage(const AgentUsage& /*so_far*/) {}
  // Whether somebody agrees. Nobody does unless asked.
  virtual bool on_approval(const ApprovalRequest& /*request*/) { return false; }
};

}  // namespace atelier::agent
