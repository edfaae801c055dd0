// A tool: something a model may ask for, with a schema its arguments obey.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/workspace/change.h"
#include "base/result.h"
#include "chat/json_text.h"

namespace atelier::agent {

using chat::Json;

enum class ToolKind : uint8_t { kCommand, kPatch, kPlan, kBrowse };

// Which group of names a model knows the tool by. Families trained with tools of their own get those; all
// others get plain functions.
enum class ToolNames : uint8_t { kFunctions, kHarmony };

struct ToolSpec {
  ToolKind kind = ToolKind::kBrowse;
  std::string name{};                  // "shell"
  std::string harmony_name{};          // "container.exec"; empty: a function of `name` there too
  std::vector<std::string> aliases{};  // other names that models are known to use
  std::string description{};
  std::string schema{};             // JSON Schema of the arguments as shown to models
  std::string harmony_arguments{};  // schema of what gpt-oss may write; empty: `schema`
};

struct PlanStep {
  std::string text;
  enum class State : uint8_t { kPending, kActive, kDone } state = State::kPending;
};
std::string_view plan_state_name(PlanStep::State state);  // "pending", "in_progress", "completed"

enum class ToolStatus : uint8_t { kCompleted, kFailed, kDeclined };
std::string_view tool_status_name(ToolStatus status);

struct ToolResult {
  ToolStatus status = ToolStatus::kCompleted;
  std::string text{};                 // for the model, whole; the caller shortens it
  std::optional<int> exit_code{};     // of a command that ran
  std::vector<FileChange> changes{};  // files the tool itself changed, in order
  std::vector<PlanStep> plan{};
};
ToolResult failed_result(std::string text);

// Somebody has to agree to it first.
struct ApprovalRequest {
  ToolKind kind = ToolKind::kCommand;
  std::string what{};    // the command line, or the files of an edit
  std::string reason{};  // why it is asked
  std::vector<FileChange> changes{};
};

// What a tool may use while it runs.
struct ToolRun {
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(std::string_view)> on_output{};      // more output, as it comes
  std::function<bool(const ApprovalRequest&)> approve{};  // null: nobody is there to agree
  std::function<void(std::string_view)> note{};           // for people, besides the result
};

class Tool {
 public:
  explicit Tool(ToolSpec spec) : spec_(std::move(spec)) {}
  virtual ~Tool() = default;
  const ToolSpec& spec() const { return spec_; }
  // `arguments`: an object, otherwise unchecked. Failures are results: the model reads them.
  virtual ToolResult run(const Json& arguments, const ToolRun& run) = 0;
  // One line for people: "cargo test", "src/a.cpp:10-40".
  virtual std::string summary(const Json& arguments) const = 0;
  // Ends what it keeps running: the rules for commands have changed, or the session is over.
  virtual void reset() {}

 private:
  ToolSpec spec_;
};

// The first of `names` that is a string member; null if none is.
const std::string* text_argument(const Json& arguments, std::initializer_list<const char*> names);
// The first of `names` that is a number in [0, max]; also numbers written as strings.
std::optional<size_t> size_argument(const Json& arguments, std::initializer_list<const char*> names,
                                    size_t max);

}  // namespace atelier::agent
