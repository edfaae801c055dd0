// The plan: what the model means to do, for itself and for whoever watches.
#include <algorithm>

#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

ToolSpec plan_spec() {
  return {
      .kind = ToolKind::kPlan,
      .name = "update_plan",
      .aliases = {"plan", "todo", "todo_write"},
      .description = "Shows the user the steps of a longer task. Send all steps each time.",
      .schema = R"({"type":"object","properties":{"steps":{"type":"array","minItems":1,"maxItems":20,)"
                R"("items":{"type":"object","properties":{"text":{"type":"string","minLength":1},)"
                R"("status":{"type":"string","enum":["pending","in_progress","completed"]}},)"
                R"("required":["text","status"],"additionalProperties":false}}},"required":["steps"],)"
                R"("additionalProperties":false})",
  };
}

class PlanTool final : public Tool {
 public:
  PlanTool() : Tool(plan_spec()) {}

  std::string summary(const Json& arguments) const override {
    const std::vector<PlanStep> steps = steps_of(arguments);
    const auto done =
        std::ranges::count_if(steps, [](const PlanStep& s) { return s.state == PlanStep::State::kDone; });
    return fmt::format("{} of {} done", done, steps.size());
  }

  ToolResult run(const Json& arguments, const ToolRun&) override {
    std::vector<PlanStep> steps = steps_of(arguments);
    if (steps.empty()) return failed_result("expected \"steps\", a list of {text, status}, found none");
    return {.text = "The plan is shown.", .plan = std::move(steps)};
  }

 private:
  static std::vector<PlanStep> steps_of(const Json& arguments) {
    std::vector<PlanStep> steps;
    for (const char* name : {"steps", "plan", "todos"}) {
      const Json* list = chat::member(arguments, name);
      if (list == nullptr || !list->is_array()) continue;
      for (const Json& item : *list) {
        const std::string* text = text_argument(item, {"text", "step", "content"});
        const std::string* state = text_argument(item, {"status", "state"});
        if (text == nullptr) continue;
        PlanStep step{.text = plain_text(*text)};
        if (state && *state == "in_progress") step.state = PlanStep::State::kActive;
        if (state && *state == "completed") step.state = PlanStep::State::kDone;
        steps.push_back(std::move(step));
      }
    }
    return steps;
  }
};

}  // namespace

std::unique_ptr<Tool> make_plan_tool() { return std::make_unique<PlanTool>(); }

}  // namespace atelier::agent
