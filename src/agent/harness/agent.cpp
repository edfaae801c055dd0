#include "agent/harness/agent.h"

#include <algorithm>

#include "agent/harness/clock.h"
#include "agent/tools/output_text.h"

namespace atelier::agent {
namespace {

using Phase = AgentObserver::Phase;

constexpr std::string_view kGoOn =
    "You ended your turn without an answer. Go on with the task: call a tool, or give the final answer.";
constexpr size_t kMaxReminders = 2;
// More than this of a result is not even counted in tokens.
constexpr size_t kMaxResultBytes = 256 << 10;
// Part of the context that may be filled before the conversation is compacted.
constexpr double kFull = 0.85;

constexpr std::string_view kClosedCall =
    "The call was too long: it was closed where the tokens ran out, and was not run. Do it in smaller steps.";

Item::Kind item_kind(ToolKind kind) {
  switch (kind) {
    case ToolKind::kCommand:
      return Item::Kind::kCommand;
    case ToolKind::kPatch:
      return Item::Kind::kPatch;
    case ToolKind::kPlan:
      return Item::Kind::kPlan;
    case ToolKind::kBrowse:
      return Item::Kind::kTool;
  }
  return Item::Kind::kTool;
}

Item::State item_state(ToolStatus status) {
  switch (status) {
    case ToolStatus::kCompleted:
      return Item::State::kCompleted;
    case ToolStatus::kFailed:
      return Item::State::kFailed;
    case ToolStatus::kDeclined:
      return Item::State::kDeclined;
  }
  return Item::State::kFailed;
}

}  // namespace

std::string_view item_kind_name(Item::Kind kind) {
  constexpr std::string_view kNames[] = {"reasoning", "message", "command", "patch", "plan", "tool"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view item_state_name(Item::State state) {
  constexpr std::string_view kNames[] = {"in_progress", "completed", "failed", "declined"};
  return kNames[static_cast<size_t>(state)];
}

struct Agent::Task {
  std::string text;
  AgentObserver& observer;
  AgentUsage usage{};
  Clock::time_point started = Clock::now();
  size_t reminders = 0;

  TaskEnd end(TaskEnd::Kind kind, std::string what) const {
    return {.kind = kind, .text = std::move(what), .usage = usage};
  }
};

// Reasoning and messages of one turn, as items while they grow.
class Agent::Items {
 public:
  Items(Agent& agent, AgentObserver& observer) : agent_(agent), observer_(observer) {}
  ~Items() { close(Item::State::kCompleted); }
  Items(const Items&) = delete;
  Items& operator=(const Items&) = delete;

  void show(const chat::Delta& delta) {
    using Kind = chat::Delta::Kind;
    switch (delta.kind) {
      case Kind::kReasoning:
        return grow(Item::Kind::kReasoning, false, delta.text);
      case Kind::kPreamble:
        return grow(Item::Kind::kMessage, false, delta.text);
      case Kind::kFinal:
        return grow(Item::Kind::kMessage, true, delta.text);
      case Kind::kToolCallBegin:
        close(Item::State::kCompleted);
        call_ = delta.name;
        return observer_.on_call_text(call_, "");
      case Kind::kArguments:
        return observer_.on_call_text(call_, delta.text);
      case Kind::kToolCallEnd:
        return;
      case Kind::kMessageEnd:
        return close(Item::State::kCompleted);
    }
  }
  void close(Item::State state) {
    if (!open_) return;
    open_ = false;
    item_.state = state;
    observer_.on_item(Phase::kCompleted, item_, "");
  }

 private:
  void grow(Item::Kind kind, bool final, std::string_view text) {
    if (text.empty()) return;
    if (open_ && (item_.kind != kind || item_.final != final)) close(Item::State::kCompleted);
    if (!open_) {
      item_ = {.id = agent_.next_item_id(), .kind = kind, .final = final};
      open_ = true;
      observer_.on_item(Phase::kStarted, item_, "");
    }
    item_.text += text;
    observer_.on_item(Phase::kUpdated, item_, text);
  }

  Agent& agent_;
  AgentObserver& observer_;
  Item item_;
  std::string call_;
  bool open_ = false;
};

std::string_view task_end_name(TaskEnd::Kind kind) {
  constexpr std::string_view kNames[] = {"answered", "interrupted", "loop", "budget", "silent", "failed"};
  return kNames[static_cast<size_t>(kind)];
}

Result<TaskEnd> Agent::run(std::string text, AgentObserver& observer) {
  Task task{.text = std::move(text), .observer = observer};
  loops_.reset();
  observer.on_turn_started();
  speaker_.add(
      {.role = chat::Role::kUser, .content = options_.message ? options_.message(task.text) : task.text});
  if (options_.keeper != nullptr)
    ATELIER_CHECK_OK(options_.keeper->on_task(speaker_.transcript(), task.text));
  Result<TaskEnd> end = work(task);
  if (options_.keeper != nullptr)
    ATELIER_CHECK_OK(options_.keeper->on_end(
        speaker_.transcript(), end ? *end : task.end(TaskEnd::Kind::kFailed, end.error().message)));
  return end;
}

std::optional<TaskEnd> Agent::spent(const Task& task) const {
  const Budget& budget = options_.budget;
  const auto not_done = [&](std::string after) {
    return task.end(TaskEnd::Kind::kBudget, "not done after " + std::move(after));
  };
  if (cancelled()) return task.end(TaskEnd::Kind::kInterrupted, "interrupted");
  if (task.usage.steps >= budget.steps) return not_done(fmt::format("{} steps", budget.steps));
  if (task.usage.output_tokens >= budget.output_tokens)
    return not_done(fmt::format("{} tokens", task.usage.output_tokens));
  if (budget.seconds > 0 && seconds_since(task.started) >= budget.seconds)
    return not_done(fmt::format("{:.0f} s", budget.seconds));
  return std::nullopt;
}

Result<TaskEnd> Agent::work(Task& task) {
  for (;;) {
    if (std::optional<TaskEnd> end = spent(task)) return std::move(*end);
    ATELIER_CHECK_OK(make_room(task));
    Speaker::Turn turn;
    {
      Items items(*this, task.observer);
      ATELIER_TRY(turn, speak(task, items));
      if (turn.reason == StopReason::kInterrupted) items.close(Item::State::kFailed);
    }
    ATELIER_TRY(std::optional<TaskEnd> end, after_turn(task, turn));
    if (end) return std::move(*end);
  }
}

Status Agent::keep_step() {
  return options_.keeper == nullptr ? Status() : options_.keeper->on_step(speaker_.transcript());
}

Result<Speaker::Turn> Agent::speak(Task& task, Items& items) {
  Speaker::Options options{.sampler = options_.sampler, .cancel = options_.cancel};
  options.max_tokens =
      std::min(options_.budget.step_tokens, options_.budget.output_tokens - task.usage.output_tokens);
  options.keep_place = task.usage.steps == 0;
  options.on_prefill = [&](size_t done, size_t total) { task.observer.on_prefill(done, total); };
  options.on_note = [&](std::string_view text) { task.observer.on_note(text); };
  options.on_delta = [&](const chat::Delta& delta) { items.show(delta); };
  const size_t before = speaker_.used_tokens();
  ATELIER_TRY(Speaker::Turn turn, speaker_.speak(options));
  AgentUsage& usage = task.usage;
  if (++usage.steps > 1 && before > 0)
    usage.reuse =
        std::min(usage.reuse, static_cast<double>(turn.cached_tokens) / static_cast<double>(before));
  usage.forced_tokens += turn.forced_tokens;
  usage.engine_seconds += turn.engine_seconds;
  usage.prompt_tokens += turn.prompt_tokens;
  usage.cached_tokens += turn.cached_tokens;
  usage.output_tokens += turn.output_tokens;
  usage.prefill_seconds += turn.prefill_seconds;
  usage.decode_seconds += turn.decode_seconds;
  usage.context_tokens = speaker_.used_tokens();
  usage.context_limit = speaker_.context_length();
  task.observer.on_usage(usage);
  return turn;
}

Result<std::optional<TaskEnd>> Agent::after_turn(Task& task, const Speaker::Turn& turn) {
  if (!turn.message.tool_calls.empty()) {
    if (turn.reason == StopReason::kInterrupted) {
      // A call that was cut off still needs an answer, or the next prompt would hang in the air.
      for (const chat::ToolCall& call : turn.message.tool_calls)
        speaker_.add({.role = chat::Role::kTool,
                      .content = "[interrupted by the user: not run]",
                      .tool_call_id = call.id,
                      .tool_name = call.name});
      return task.end(TaskEnd::Kind::kInterrupted, "interrupted");
    }
    ATELIER_CHECK_OK(keep_step());
    ATELIER_TRY(std::optional<TaskEnd> end, run_calls(task, turn));
    if (!end) ATELIER_CHECK_OK(keep_step());
    return end;
  }
  if (turn.reason == StopReason::kInterrupted) return task.end(TaskEnd::Kind::kInterrupted, "interrupted");
  const bool cut = turn.reason == StopReason::kMaxTokens || turn.reason == StopReason::kContextFull;
  if (cut)
    return task.end(TaskEnd::Kind::kBudget, fmt::format("cut off after {} tokens", turn.output_tokens));
  if (turn.message.content.find_first_not_of(" \t\r\n") != std::string::npos)
    return task.end(TaskEnd::Kind::kAnswered, turn.message.content);
  if (task.reminders++ == kMaxReminders)
    return task.end(TaskEnd::Kind::kSilent, "the model ended its turn without an answer");
  task.observer.on_note("No answer; the model is reminded of the task.");
  speaker_.add({.role = chat::Role::kUser, .content = std::string(kGoOn)});
  return std::nullopt;
}

Result<std::optional<TaskEnd>> Agent::run_calls(Task& task, const Speaker::Turn& turn) {
  bool looping = false;
  for (const chat::ToolCall& call : turn.message.tool_calls) {
    Item item{.id = next_item_id(), .tool = call.name, .arguments = call.arguments};
    ToolResult result;
    if (cancelled()) {
      result = failed_result("[interrupted by the user: not run]");
    } else {
      ATELIER_TRY(result, run_call(task, call, turn.closed, item));
    }
    std::string text = text_for_model(result);
    const size_t same = loops_.count(call.name, call.arguments, text);
    if (same >= LoopDetector::kWarn)
      text += fmt::format(
          "\n[This is the same call with the same result for the {}th time. Do something else.]", same);
    looping = looping || same >= LoopDetector::kCut;
    speaker_.add({.role = chat::Role::kTool,
                  .content = std::move(text),
                  .tool_call_id = call.id,
                  .tool_name = call.name});
  }
  if (cancelled()) return task.end(TaskEnd::Kind::kInterrupted, "interrupted");
  if (looping)
    return task.end(
        TaskEnd::Kind::kLoop,
        fmt::format("the model repeats itself: the same call had the same result {} times within {} calls",
                    LoopDetector::kCut, LoopDetector::kWindow));
  return std::nullopt;
}

ToolResult Agent::unknown_tool(std::string_view name) const {
  std::string names;
  for (const auto& known : toolbox_.tools()) names += (names.empty() ? "" : ", ") + toolbox_.name_of(*known);
  return failed_result(fmt::format("There is no tool {}. The tools are: {}.", plain_text(name), names));
}

Result<ToolResult> Agent::run_call(Task& task, const chat::ToolCall& call, bool closed, Item& item) {
  Tool* tool = toolbox_.find(call.name);
  Result<Json> arguments = Json();
  if (tool == nullptr) {
    item.kind = Item::Kind::kTool;
    item.text = plain_text(call.name);
  } else {
    item.kind = item_kind(tool->spec().kind);
    arguments = parse_arguments(*tool, call.arguments);
    item.text = arguments ? tool->summary(*arguments) : plain_text(call.arguments).substr(0, 200);
  }
  task.observer.on_item(Phase::kStarted, item, "");
  ToolResult result;
  if (tool == nullptr) {
    result = unknown_tool(call.name);
  } else if (!call.complete) {
    result = failed_result("The call was cut off before it was complete; it was not run.");
  } else if (closed) {
    // Well-formed, but not what the model had in mind: the half of a command is another command.
    result = failed_result(std::string(kClosedCall));
  } else if (!arguments) {
    result = failed_result(arguments.error().message);
  } else {
    ATELIER_TRY(result, run_tool(task, *tool, *arguments, item));
  }
  item.state = item_state(result.status);
  item.output = result.text;
  item.exit_code = result.exit_code;
  item.changes = result.changes;
  item.plan = result.plan;
  task.observer.on_item(Phase::kCompleted, item, "");
  return result;
}

Result<ToolResult> Agent::run_tool(Task& task, Tool& tool, const Json& arguments, Item& item) {
  const ToolKind kind = tool.spec().kind;
  const bool effects = kind != ToolKind::kBrowse && kind != ToolKind::kPlan;
  if (effects && options_.keeper != nullptr) ATELIER_CHECK_OK(options_.keeper->before_effects());
  const Clock::time_point start = Clock::now();
  const ToolRun run{
      .cancel = options_.cancel,
      .on_output =
          [&](std::string_view more) {
            item.output += more;
            task.observer.on_item(Phase::kUpdated, item, more);
          },
      .approve = [&](const ApprovalRequest& request) { return task.observer.on_approval(request); },
      .note = [&](std::string_view text) { task.observer.on_note(text); }};
  ToolResult result = tool.run(arguments, run);
  task.usage.tool_seconds += seconds_since(start);
  if (!result.changes.empty() && options_.keeper != nullptr)
    ATELIER_CHECK_OK(options_.keeper->on_changes(result.changes));
  return result;
}

std::string Agent::text_for_model(const ToolResult& result) {
  const std::string text = plain_text(result.text);
  const size_t limit = std::min(options_.result_tokens, speaker_.context_length() / 8);
  const size_t n_tokens = text.size() > kMaxResultBytes ? SIZE_MAX
                          : text.size() <= limit        ? text.size()
                                                        : speaker_.count_tokens(text);
  if (n_tokens <= limit) return text;
  const Result<std::string> kept = outputs_.keep(result.text);
  const std::string note = kept
                               ? fmt::format("[… {{}} bytes left out; open_file {} shows all of it …]", *kept)
                               : "[… {} bytes left out …]";
  // By the density of its own beginning; a second cut where the rest is denser.
  size_t bytes = n_tokens == SIZE_MAX ? limit * 3 : text.size() * limit / n_tokens;
  Shortened cut = shorten_middle(text, bytes, note);
  for (int again = 0; again < 4; ++again) {
    const size_t tokens = speaker_.count_tokens(cut.text);
    if (tokens <= limit) break;
    bytes = bytes * limit / tokens * 9 / 10;
    cut = shorten_middle(text, bytes, note);
  }
  return cut.text;
}

Status Agent::make_room(Task& task) {
  ATELIER_TRY(const size_t prompt_tokens, speaker_.prompt_tokens());
  const double limit = kFull * static_cast<double>(speaker_.context_length());
  if (static_cast<double>(prompt_tokens) < limit) return {};
  ATELIER_TRY(const bool compacted, compact(task.observer));
  if (!compacted) return {};
  speaker_.add({.role = chat::Role::kUser, .content = "The task is still: " + task.text});
  return {};
}

}  // namespace atelier::agent
