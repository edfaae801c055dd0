// atelier, atelier resume: the coding agent at a terminal.
#include <unistd.h>

#include "agent/tui/app.h"
#include "base/user_folders.h"
#include "cli/agent_flags.h"
#include "cli/command.h"

namespace atelier::cli {
namespace {

struct TerminalFlags {
  AgentFlags agent;
  std::string resume;
};

Status run_agent(const TerminalFlags& flags, const Globals& globals) {
  agent::tui::AppOptions app;
  app.input = STDIN_FILENO;
  app.output = STDOUT_FILENO;
  app.interrupted = &interrupted();
  app.clear_interrupted = clear_interrupted;
  if (const auto state = user_folder(UserFolder::kState)) app.history_file = *state / "history";
  ATELIER_TRY(app.worker.session, flags.agent.session_options());
  app.worker.session.resume = flags.resume;
  app.worker.approve = flags.agent.approve;
  // Progress of a first download has no place below the region; the terminal interface says what it waits
  // for.
  app.worker.load = [&](const std::string& name) {
    ModelFlags model = flags.agent.model;
    model.model = name;
    return load_engine(model, Globals{.quiet = true, .verbose = globals.verbose});
  };
  app.worker.adapt = [&](const Engine& engine, agent::AgentSessionOptions& options) {
    flags.agent.adapt(engine, options);
  };
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::canonical(flags.agent.folder, failed);
  if (failed) return fail(ErrorCode::kNotFound, "{}: {}", flags.agent.folder, failed.message());
  if (!globals.quiet)
    app.greeting =
        fmt::format("Atelier {} in {}; /help says what can be typed", ATELIER_VERSION, folder.string());
  return agent::tui::run_app(std::move(app));
}

}  // namespace

void register_agent(Registration r) {
  const auto flags = std::make_shared<TerminalFlags>();
  CLI::App* command =
      r.app.add_subcommand("agent", "The coding agent in this folder; what atelier alone does");
  flags->agent.add_to(*command, "ask");
  command->callback([=] { r.selected = [=] { return run_agent(*flags, r.globals); }; });

  const auto resumed = std::make_shared<TerminalFlags>();
  CLI::App* resume = r.app.add_subcommand("resume", "The coding agent, going on with an earlier session");
  resumed->agent.add_to(*resume, "ask");
  resumed->resume = "last";
  resume->add_option("SESSION", resumed->resume, "Its id, the beginning of one, or \"last\" of this folder");
  resume->callback([=] { r.selected = [=] { return run_agent(*resumed, r.globals); }; });
}

}  // namespace atelier::cli
