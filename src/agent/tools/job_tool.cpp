// Background jobs: what they have said, and their end.
#include "agent/tools/jobs.h"
#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

ToolSpec job_spec() {
  return {
      .kind = ToolKind::kCommand,
      .name = "job",
      .aliases = {"background", "jobs", "read_output", "kill_job"},
      .description =
          "A command that was started with \"background\": true: `read` waits up to `wait` seconds for more "
          "output, `stop` ends it, `list` names all jobs.",
      .schema = R"({"type":"object","properties":{"action":{"type":"string","enum":["read","stop","list"]},)"
                R"("id":{"type":"integer","minimum":1},"wait":{"type":"integer","minimum":1,"maximum":600}},)"
                R"("required":["action"],"additionalProperties":false})",
  };
}

class JobTool final : public Tool {
 public:
  explicit JobTool(const ToolHost& host) : Tool(job_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* action = text_argument(arguments, {"action"});
    const auto id = size_argument(arguments, {"id", "job"}, SIZE_MAX);
    return plain_text(action ? *action : "read") + (id ? fmt::format(" job {}", *id) : "");
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* action = text_argument(arguments, {"action"});
    if (action != nullptr && *action == "list") {
      const std::string list = host_.jobs->list();
      return {.text = list.empty() ? "There are no jobs." : list};
    }
    const auto id = size_argument(arguments, {"id", "job"}, SIZE_MAX);
    if (!id) return failed_result("expected \"id\", the number of a job, found none");
    const size_t seconds = size_argument(arguments, {"wait", "timeout"}, 600).value_or(1);
    const auto view = host_.jobs->look(*id, std::chrono::seconds(seconds),
                                       action != nullptr && *action == "stop", run.cancel);
    if (!view) return failed_result(view.error().message);
    return {.text = job_text(*view), .exit_code = view->exit_code};
  }

  void reset() override { host_.jobs->stop_all(); }

 private:
  const ToolHost& host_;
};

}  // namespace

std::string job_text(const JobTable::View& view) {
  std::string text;
  if (view.dropped_bytes > 0)
    text = fmt::format("[{} bytes before this were not kept]\n", view.dropped_bytes);
  text += plain_text(view.output);
  if (!text.empty() && text.back() != '\n') text += '\n';
  if (view.running) return text + "[running]";
  if (!view.error.empty()) return text + "[" + plain_text(view.error) + "]";
  return text + (view.exit_code ? fmt::format("[exit code {}]", *view.exit_code) : std::string("[ended]"));
}

std::unique_ptr<Tool> make_job_tool(const ToolHost& host) { return std::make_unique<JobTool>(host); }

}  // namespace atelier::agent
