// The agent: a task in, steps of model and tools, an answer out.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "agent/harness/events.h"
#include "agent/harness/keeper.h"
#include "agent/harness/loop_detector.h"
#include "agent/harness/speaker.h"
#include "agent/tools/toolbox.h"

namespace atelier::agent {

struct Budget {
  size_t steps = 250;               // turns of the model for one task
  size_t output_tokens = SIZE_MAX;  // sampled for one task
  size_t step_tokens = 16384;       // sampled in one step
  double seconds = 0;               // for one task; 0: no limit
};

struct AgentOptions {
  SamplerOptions sampler{};
  Budget budget{};
  size_t result_tokens = 8192;  // of one tool result that a model sees, at most; an eighth of the context
  const std::atomic<bool>* cancel = nullptr;
  TurnKeeper* keeper = nullptr;  // null: nothing is kept
  // What the model is shown for a task, such as the files it mentions; empty: the task as it stands.
  std::function<std::string(std::string_view task)> message{};
};

// How a task ended.
struct TaskEnd {
  enum class Kind : uint8_t {
    kAnswered,
    kInterrupted,  // by the user; what was done stays
    kLoop,         // the same call with the same result too often
    kBudget,       // steps, tokens or time ran out
    kSilent,       // the model ended without saying anything
    kFailed,       // an error of the engine; only keepers see it
  };
  Kind kind = Kind::kAnswered;
  std::string text{};  // the answer, or what went wrong
  AgentUsage usage{};
};
std::string_view task_end_name(TaskEnd::Kind kind);  // "answered", "interrupted", "loop", "budget", "silent",
                                                     // "failed"

class Agent {
 public:
  // All of them must outlive it.
  Agent(Speaker& speaker, const Toolbox& toolbox, OutputStore& outputs, AgentOptions options)
      : speaker_(speaker), toolbox_(toolbox), outputs_(outputs), options_(std::move(options)) {}

  // Works on `task` until there is an answer or an end, which is kept when this returns. Errors: the engine's
  // and the keeper's.
  Result<TaskEnd> run(std::string task, AgentObserver& observer);
  // Replaces the conversation by its beginning and a summary that the model writes. False if there is nothing
  // to compact.
  Result<bool> compact(AgentObserver& observer);

  AgentOptions& options() { return options_; }
  void count_items_from(size_t n) { n_items_ = n; }
  size_t items() const { return n_items_; }

 private:
  class Items;
  struct Task;
  Result<TaskEnd> work(Task& task);
  std::optional<TaskEnd> spent(const Task& task) const;
  Result<Speaker::Turn> speak(Task& task, Items& items);
  // The end, if this turn of the model was the last.
  Result<std::optional<TaskEnd>> after_turn(Task& task, const Speaker::Turn& turn);
  Result<std::optional<TaskEnd>> run_calls(Task& task, const Speaker::Turn& turn);
  // `closed`: the tokens ran out within the turn.
  Result<ToolResult> run_call(Task& task, const chat::ToolCall& call, bool closed, Item& item);
  ToolResult unknown_tool(std::string_view name) const;
  Result<ToolResult> run_tool(Task& task, Tool& tool, const Json& arguments, Item& item);
  Status keep_step();
  std::string text_for_model(const ToolResult& result);
  Status make_room(Task& task);
  bool cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }
  std::string next_item_id() { return fmt::format("item_{}", n_items_++); }

  Speaker& speaker_;
  const Toolbox& toolbox_;
  OutputStore& outputs_;
  AgentOptions options_;
  LoopDetector loops_;
  size_t n_items_ = 0;
};

}  // namespace atelier::agent
