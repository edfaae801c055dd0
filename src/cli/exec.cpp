// atelier exec: the coding agent on one task, without a terminal.
#include <unistd.h>

#include <iostream>

#include "agent/harness/json_events.h"
#include "base/file.h"
#include "cli/agent_flags.h"
#include "cli/command.h"

namespace atelier::cli {
namespace {

constexpr size_t kMaxTaskBytes = size_t{1} << 20;
constexpr size_t kMaxSchemaFileBytes = size_t{256} << 10;
constexpr std::string_view kGoOn = "Go on with the task.";

struct ExecFlags {
  AgentFlags agent;
  bool json = false;
  std::string output_schema_file;
  size_t max_steps = agent::Budget{}.steps;
  size_t max_tokens = SIZE_MAX;
  double max_seconds = 0;
  bool unconstrained = false;
  std::string resume;
  std::optional<std::string> task;
};

// Who agrees to what is not allowed unasked.
class Approver {
 public:
  explicit Approver(std::string mode) : mode_(std::move(mode)) {}
  bool approve(const agent::ApprovalRequest& request) const {
    if (mode_ == "auto") return true;
    if (mode_ != "ask" || !stdin_is_terminal() || !stderr_is_terminal()) return false;
    fmt::print(stderr, "\n{}\n  ({})\nDo it? [y/N] ", request.what, request.reason);
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes");
  }

 private:
  std::string mode_;
};

// The answer on stdout, what happens on the way on stderr.
class PlainEvents final : public agent::AgentObserver {
 public:
  PlainEvents(const Globals& globals, const Approver& approver)
      : quiet_(globals.quiet), dim_(colours_wanted(STDERR_FILENO)), approver_(approver) {}

  void on_item(Phase phase, const agent::Item& item, std::string_view) override {
    using Kind = agent::Item::Kind;
    if (quiet_ || phase != Phase::kCompleted || item.final) return;
    if (item.kind == Kind::kReasoning || item.kind == Kind::kMessage) return line(item.text);
    line(fmt::format("{} {}{}", item.kind == Kind::kCommand ? "$" : item_kind_name(item.kind), item.text,
                     item.state == agent::Item::State::kCompleted
                         ? ""
                         : fmt::format(" ({})", item_state_name(item.state))));
  }
  void on_note(std::string_view text) override {
    if (!quiet_) line(text);
  }
  bool on_approval(const agent::ApprovalRequest& request) override { return approver_.approve(request); }

 private:
  void line(std::string_view text) const {
    fmt::print(stderr, "{}{}{}\n", dim_ ? "\x1b[2m" : "", text, dim_ ? "\x1b[0m" : "");
  }
  bool quiet_, dim_;
  const Approver& approver_;
};

class JsonLines final : public agent::JsonEvents {
 public:
  explicit JsonLines(const Approver& approver)
      : JsonEvents([this](const std::string& text) {
          if (written_) written_ = print(text + "\n");
        }),
        approver_(approver) {}
  bool on_approval(const agent::ApprovalRequest& request) override { return approver_.approve(request); }
  const Status& written() const { return written_; }

 private:
  const Approver& approver_;
  Status written_;
};

Status ended(const agent::TaskEnd& end) {
  using Kind = agent::TaskEnd::Kind;
  if (end.kind == Kind::kAnswered) return {};
  if (end.kind == Kind::kInterrupted) return fail(ErrorCode::kInterrupted, "interrupted");
  return fail(ErrorCode::kLimit, "{}", end.text);
}

Result<agent::AgentSessionOptions> session_options(const ExecFlags& flags) {
  ATELIER_TRY(agent::AgentSessionOptions options, flags.agent.session_options());
  options.resume = flags.resume;
  if (!flags.output_schema_file.empty()) {
    ATELIER_TRY(options.bench.output_schema, read_file(flags.output_schema_file, kMaxSchemaFileBytes));
  }
  options.bench.constrain = !flags.unconstrained;
  options.bench.agent.budget.steps = flags.max_steps;
  options.bench.agent.budget.output_tokens = flags.max_tokens;
  options.bench.agent.budget.seconds = flags.max_seconds;
  options.bench.agent.cancel = &interrupted();
  return options;
}

// What to do: the argument, standard input, or what a resumed session was at.
Result<std::string> task_of(const ExecFlags& flags) {
  std::string task = flags.task.value_or("");
  if (!flags.task && !stdin_is_terminal()) {
    ATELIER_TRY(task, read_stdin(kMaxTaskBytes));
  }
  if (task.find_first_not_of(" \t\r\n") != std::string::npos) return task;
  if (!flags.resume.empty()) return std::string(kGoOn);
  return fail(ErrorCode::kInvalidArgument,
              "task: expected a text as argument or on standard input, found none");
}

Status run_exec(const ExecFlags& flags, const Globals& globals) {
  ATELIER_TRY(std::string task, task_of(flags));
  ATELIER_TRY(agent::AgentSessionOptions options, session_options(flags));
  std::unique_ptr<Engine> engine;
  if (!options.bench.provider) {
    ATELIER_TRY(engine, load_engine(flags.agent.model, globals));
    flags.agent.adapt(*engine, options);
  }
  ATELIER_TRY(const std::unique_ptr<agent::AgentSession> session,
              agent::AgentSession::open(engine.get(), std::move(options)));
  for (const std::string& text : session->bench().notes()) note(globals, text);
  const Approver approver(flags.agent.approve);
  if (!flags.json) {
    PlainEvents events(globals, approver);
    ATELIER_TRY(const agent::TaskEnd end, session->run(std::move(task), events));
    session->keep_kv();
    ATELIER_CHECK_OK(ended(end));
    return print(end.text.ends_with('\n') ? end.text : end.text + "\n");
  }
  JsonLines events(approver);
  events.thread_started(session->id());
  const Result<agent::TaskEnd> end = session->run(std::move(task), events);
  if (!end) {
    events.turn_failed(end.error().message, {});
    return tl::unexpected<Error>(end.error());
  }
  events.turn_ended(*end);
  session->keep_kv();
  ATELIER_CHECK_OK(events.written());
  return ended(*end);
}

}  // namespace

void register_exec(Registration r) {
  auto flags = std::make_shared<ExecFlags>();
  CLI::App* command = r.app.add_subcommand("exec", "Let the coding agent do one task in a folder");
  flags->agent.add_to(*command, "never");
  command->add_flag("--json", flags->json, "Say what happens as JSON lines (docs/agent.md)");
  command->add_option("--output-schema", flags->output_schema_file,
                      "JSON Schema that the final answer obeys");
  command->add_option("--max-steps", flags->max_steps, "Turns of the model at most")
      ->check(CLI::PositiveNumber);
  command->add_option("--max-tokens", flags->max_tokens, "Sampled tokens at most")
      ->check(CLI::PositiveNumber);
  command->add_option("--max-seconds", flags->max_seconds, "Seconds at most")->check(CLI::PositiveNumber);
  command->add_flag("--unconstrained", flags->unconstrained,
                    "Do not hold calls to their schema (for comparison)");
  command->add_option("--resume", flags->resume,
                      "Go on with a session: its id, the beginning of one, or \"last\"");
  command->add_option("TASK", flags->task, "What to do; without it, standard input");
  command->callback([=] { r.selected = [=] { return run_exec(*flags, r.globals); }; });
}

}  // namespace atelier::cli
