// Python with a memory: gpt-oss's `python`, whose body is the code itself.
#include <optional>
#include <random>

#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

constexpr size_t kDefaultPythonTimeoutS = 120, kMaxPythonTimeoutS = 3600;
constexpr size_t kMaxCellBytes = size_t{16} << 20;  // of one cell's output
constexpr auto kPythonStep = std::chrono::milliseconds(20);

// Runs one cell a line of its input: {"code": …, "end": …}, and says `end` and how it went when it is over.
// It imports what it needs before the workspace is on the path, where a file may have any module's name.
constexpr const char* kDriver = R"(
import ast, json, os, sys, traceback
requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(1, 2)
sys.path.insert(0, "")
scope = {"__name__": "__main__"}
for line in requests:
    request = json.loads(line)
    status = "ok"
    try:
        tree = ast.parse(request["code"], "<cell>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)
            if value is not None:
                scope["_"] = value
                print(repr(value))
    except SystemExit as end:
        print("exit", end.code)
    except BaseException as error:
        status = "error"
        where = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, where)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os.write(1, ("\n" + request["end"] + " " + status + "\n").encode())
)";

ToolSpec python_spec() {
  return {
      .kind = ToolKind::kCommand,
      .name = "python",
      .harmony_name = "python",
      .aliases = {"ipython", "code_interpreter", "run_python"},
      .description =
          "Runs Python code in the workspace; variables stay until the session ends. The value of a last "
          "expression is shown.",
      .schema = R"({"type":"object","properties":{"code":{"type":"string","minLength":1},)"
                R"("timeout":{"type":"integer","minimum":1,"maximum":3600}},"required":["code"],)"
                R"("additionalProperties":false})",
  };
}

std::string random_word() {
  std::random_device random;
  return fmt::format("atelier-{:08x}{:08x}{:08x}", random(), random(), random());
}

class PythonTool final : public Tool {
 public:
  explicit PythonTool(const ToolHost& host) : Tool(python_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* code = text_argument(arguments, {"code"});
    const std::string plain = code ? plain_text(*code) : "";
    const size_t end = plain.find('\n');
    return "python: " + plain.substr(0, end) + (end == std::string::npos ? "" : " …");
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* code = text_argument(arguments, {"code", "input"});
    if (code == nullptr) return failed_result("expected \"code\", found none");
    Command command{.argv = {"python3", "-I", "-u", "-c", kDriver}, .talk = true};
    if (const std::string reason = host_.runner->asks(command); !reason.empty()) {
      // Without permission to write it changes nothing, and remembers all the same. Where nothing confines
      // it, each piece of code is a command of its own.
      command.trial = host_.runner->can_try(command);
      command.agreed = !command.trial;
      const ApprovalRequest request{
          .kind = ToolKind::kCommand, .what = "python:\n" + plain_text(*code), .reason = reason};
      if (!command.trial && !(run.approve && run.approve(request)))
        return {.status = ToolStatus::kDeclined,
                .text = fmt::format("The code was not run: {}, and nobody agreed to it.", reason)};
    }
    if (!process_) {
      auto process = host_.runner->start(command);
      if (!process) return failed_result(process.error().message);
      process_.emplace(std::move(*process));
    }
    size_t seconds =
        size_argument(arguments, {"timeout"}, kMaxPythonTimeoutS).value_or(kDefaultPythonTimeoutS);
    seconds = std::max<size_t>(seconds, 1);
    const std::string end = random_word();
    const Json request = {{"code", *code}, {"end", end}};
    if (!process_->write(request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                         std::chrono::seconds(10)))
      return lost("Python has ended", "");
    return follow(end, seconds, run);
  }

  void reset() override { process_.reset(); }

 private:
  ToolResult follow(const std::string& end, size_t seconds, const ToolRun& run) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    const std::string mark = "\n" + end + " ";
    std::string output;
    size_t searched = 0, shown = 0, dropped = 0;
    PlainStream stream;
    for (;;) {
      const auto more = process_->read(kPythonStep, output);
      const size_t at = output.find(mark, searched);
      const size_t line_end = at == std::string::npos ? at : output.find('\n', at + mark.size());
      if (line_end != std::string::npos) {
        show(stream, std::string_view(output).substr(shown, at - std::min(at, shown)), run);
        const bool good = output.compare(at + mark.size(), line_end - at - mark.size(), "ok") == 0;
        return cell_result(output.substr(0, at), dropped, good);
      }
      // The mark may have come in part.
      const size_t safe = output.size() - std::min(output.size(), mark.size() + 8);
      if (safe > shown) {
        show(stream, std::string_view(output).substr(shown, safe - shown), run);
        shown = safe;
      }
      if (output.size() > kMaxCellBytes && safe > 0) {
        dropped += safe;
        output.erase(0, safe);
        shown -= safe;
      }
      searched = output.size() - std::min(output.size(), mark.size() + 8);
      if (!more || !*more) return lost("Python has ended", output);
      if (run.cancel != nullptr && run.cancel->load()) return lost("interrupted by the user", output);
      if (std::chrono::steady_clock::now() >= deadline)
        return lost(fmt::format("ended after the timeout of {} s", seconds), output);
    }
  }

  static void show(PlainStream& stream, std::string_view bytes, const ToolRun& run) {
    if (!run.on_output || bytes.empty()) return;
    if (const std::string text = stream.push(bytes); !text.empty()) run.on_output(text);
  }

  static ToolResult cell_result(std::string_view output, size_t dropped, bool good) {
    ToolResult result{.status = good ? ToolStatus::kCompleted : ToolStatus::kFailed,
                      .text = plain_text(output)};
    if (dropped > 0)
      result.text = fmt::format("[{} bytes before this were not kept]\n", dropped) + result.text;
    if (result.text.empty()) result.text = "[no output]";
    return result;
  }

  ToolResult lost(const std::string& why, std::string_view output) {
    process_.reset();
    std::string text = plain_text(output);
    if (!text.empty() && text.back() != '\n') text += '\n';
    return failed_result(text + fmt::format("[{}; its variables are gone]", why));
  }

  const ToolHost& host_;
  std::optional<SandboxProcess> process_;
};

}  // namespace

std::unique_ptr<Tool> make_python_tool(const ToolHost& host) { return std::make_unique<PythonTool>(host); }

}  // namespace atelier::agent
