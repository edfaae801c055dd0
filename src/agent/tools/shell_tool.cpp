// The shell: container.exec for gpt-oss, `shell` for everybody else.
#include <fmt/ranges.h>

#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

constexpr size_t kDefaultTimeoutS = 120, kMaxTimeoutS = 3600;
constexpr size_t kMaxKeptBytes = size_t{16} << 20;  // of one command's output

ToolSpec shell_spec() {
  return {
      .kind = ToolKind::kCommand,
      .name = "shell",
      .harmony_name = "container.exec",
      .aliases = {"exec", "bash", "run_command", "container.run"},
      .description =
          "Runs a command line with bash in the workspace and returns its output and exit code. "
          "There is no terminal and no input. `timeout` is in seconds. `network`: the user is asked to grant "
          "the network to this command. `background`: it goes on while you do something else; see `job`.",
      .schema = R"({"type":"object","properties":{"command":{"type":"string","minLength":1},)"
                R"("workdir":{"type":"string"},"timeout":{"type":"integer","minimum":1,"maximum":3600},)"
                R"("network":{"type":"boolean"},"background":{"type":"boolean"}},)"
                R"("required":["command"],"additionalProperties":false})",
      .harmony_arguments =
          R"({"type":"object","properties":{"cmd":{"anyOf":[)"
          R"({"type":"array","items":{"type":"string"},"minItems":1},{"type":"string","minLength":1}]},)"
          R"("workdir":{"type":"string"},"timeout":{"type":"integer","minimum":1,"maximum":3600000},)"
          R"("network":{"type":"boolean"},"background":{"type":"boolean"}},)"
          R"("required":["cmd"],"additionalProperties":false})",
  };
}

std::string shell_quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-+=./:,@%") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class ShellTool final : public Tool {
 public:
  explicit ShellTool(const ToolHost& host) : Tool(shell_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::vector<std::string> argv = words(arguments);
    if (argv.size() == 3 && argv[0] == "bash" && argv[1].starts_with("-")) return plain_text(argv[2]);
    std::string line;
    for (const std::string& word : argv) line += (line.empty() ? "" : " ") + shell_quoted(word);
    return plain_text(line);
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    Command command{.argv = words(arguments), .cancel = run.cancel};
    if (command.argv.empty()) return failed_result("expected a command (\"command\" or \"cmd\"), found none");
    if (const std::string* folder = text_argument(arguments, {"workdir", "cwd"});
        folder && !folder->empty()) {
      const auto relative = host_.workspace->relative_folder(*folder);
      if (!relative) return failed_result("workdir: " + relative.error().message);
      command.folder = *relative;
    }
    // Many models send patches through the shell: that is no command, and nothing is started for it.
    Result<std::optional<PatchText>> patch = unwrap_command(command.argv);
    if (!patch) return failed_result(patch.error().message);
    if (*patch) {
      if ((*patch)->workdir.empty()) (*patch)->workdir = command.folder;
      return apply_unwrapped(host_, **patch, run);
    }
    size_t seconds = size_argument(arguments, {"timeout"}, kMaxTimeoutS * 1000).value_or(kDefaultTimeoutS);
    if (seconds > kMaxTimeoutS) seconds = (seconds + 999) / 1000;  // some models mean milliseconds
    command.timeout = std::chrono::seconds(std::max<size_t>(1, std::min(seconds, kMaxTimeoutS)));
    command.network = flag(arguments, "network");
    const bool background = flag(arguments, "background") && host_.jobs != nullptr;
    warn_once(run);
    const std::string reason = host_.runner->asks(command);
    const ApprovalRequest request{.kind = ToolKind::kCommand, .what = summary(arguments), .reason = reason};
    if (!reason.empty()) {
      if (!background && host_.runner->can_try(command)) return try_first(command, seconds, request, run);
      if (!(run.approve && run.approve(request)))
        return {.status = ToolStatus::kDeclined,
                .text = fmt::format("The command was not run: {}, and nobody agreed to it.", reason)};
      command.agreed = true;
    }
    return background ? start_job(command, request.what, run) : start(command, seconds, run);
  }

 private:
  static bool flag(const Json& arguments, const char* name) {
    const Json* value = chat::member(arguments, name);
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }

  // What to execute: an argument list as it stands, a line through bash.
  static std::vector<std::string> words(const Json& arguments) {
    if (const std::string* line = text_argument(arguments, {"command", "cmd"}))
      return line->empty() ? std::vector<std::string>() : std::vector<std::string>{"bash", "-c", *line};
    for (const char* name : {"cmd", "command"}) {
      const Json* list = chat::member(arguments, name);
      if (list == nullptr || !list->is_array()) continue;
      std::vector<std::string> argv;
      for (const Json& word : *list) {
        if (!word.is_string()) return {};
        argv.push_back(word.get<std::string>());
      }
      return argv;
    }
    return {};
  }

  // Where what a command writes cannot be confined, it runs without writing; only if it fails that way, which
  // has changed nothing, somebody is asked for more.
  ToolResult try_first(Command& command, size_t seconds, const ApprovalRequest& request, const ToolRun& run) {
    command.trial = true;
    ToolResult tried = start(command, seconds, run);
    const bool ended_by_itself = tried.exit_code && (run.cancel == nullptr || !run.cancel->load());
    if (tried.status == ToolStatus::kCompleted || !ended_by_itself) return tried;
    if (!(run.approve && run.approve(request))) {
      tried.text += fmt::format("\n[It ran without permission to write: {}, and nobody agreed to more.]",
                                request.reason);
      return tried;
    }
    command.trial = false;
    command.agreed = true;
    return start(command, seconds, run);
  }

  // Waits a moment: what fails does so at once.
  ToolResult start_job(const Command& command, const std::string& what, const ToolRun& run) const {
    constexpr auto kMoment = std::chrono::milliseconds(500);
    const auto number = host_.jobs->start(*host_.runner, command, what);
    if (!number) return failed_result(number.error().message);
    const auto view = host_.jobs->look(*number, kMoment, /*stop=*/false, run.cancel);
    if (!view) return failed_result(view.error().message);
    return {.text = fmt::format("[job {}]\n{}", *number, job_text(*view)), .exit_code = view->exit_code};
  }

  ToolResult start(Command& command, size_t seconds, const ToolRun& run) {
    std::string bytes;
    size_t dropped = 0;
    PlainStream shown;
    command.on_output = [&](std::string_view chunk) {
      const size_t room = kMaxKeptBytes - bytes.size();
      bytes += chunk.substr(0, room);
      dropped += chunk.size() - std::min(room, chunk.size());
      if (!run.on_output) return;
      if (const std::string text = shown.push(chunk); !text.empty()) run.on_output(text);
    };
    const Result<CommandOutcome> outcome = host_.runner->run(command);
    if (run.on_output)
      if (const std::string rest = shown.finish(); !rest.empty()) run.on_output(rest);
    if (!outcome) return failed_result(outcome.error().message);
    ToolResult result{.text = plain_text(bytes), .exit_code = outcome->exit_code};
    if (dropped > 0) result.text += fmt::format("\n[{} more bytes were not kept]", dropped);
    if (!result.text.empty() && result.text.back() != '\n') result.text += '\n';
    if (outcome->end == CommandOutcome::End::kTimedOut)
      result.text += fmt::format("[ended after the timeout of {} s]\n", seconds);
    if (outcome->end == CommandOutcome::End::kCancelled) result.text += "[interrupted by the user]\n";
    if (outcome->exit_code != 0) {
      result.status = ToolStatus::kFailed;
      result.text += fmt::format("[exit code {}]", outcome->exit_code);
    } else if (result.text.empty()) {
      result.text = "[no output, exit code 0]";
    }
    return result;
  }

  void warn_once(const ToolRun& run) {
    if (std::exchange(warned_, true)) return;
    if (const std::string banner = host_.runner->banner(); !banner.empty() && run.note) run.note(banner);
  }

  const ToolHost& host_;
  bool warned_ = false;
};

}  // namespace

std::unique_ptr<Tool> make_shell_tool(const ToolHost& host) { return std::make_unique<ShellTool>(host); }

}  // namespace atelier::agent
