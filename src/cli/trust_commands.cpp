// atelier trust, atelier mcp: what a user agrees to once, bound to content.
#include <iostream>

#include "agent/mcp/mcp_tools.h"
#include "agent/mcp/trust.h"
#include "agent/tools/output_text.h"
#include "agent/tools/sandbox_runner.h"
#include "cli/command.h"

namespace atelier::cli {
namespace {

struct TrustFlags {
  std::string folder = ".";
  bool yes = false, forget = false;
};

struct McpFlags {
  std::string folder = ".";
  std::string server;
  std::vector<std::string> tools;
  bool yes = false;
};

Status confirm(std::string_view question, bool yes) {
  if (yes) return {};
  if (!stdin_is_terminal() || !stderr_is_terminal())
    return fail(ErrorCode::kInvalidArgument, "{} expected --yes where there is no terminal to ask at",
                question);
  fmt::print(stderr, "{} [y/N] ", question);
  std::string answer;
  if (std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes")) return {};
  return fail(ErrorCode::kInterrupted, "nothing was agreed to");
}

std::string command_line(const agent::McpServerConfig& config) {
  std::string line;
  for (const std::string& word : config.argv) line += (line.empty() ? "" : " ") + agent::plain_text(word);
  if (config.network) line += "  (with the network)";
  return line;
}

Status run_trust(const TrustFlags& flags) {
  ATELIER_TRY(const agent::Workspace workspace, agent::Workspace::open(flags.folder));
  ATELIER_TRY(agent::TrustStore trust, agent::TrustStore::open());
  if (flags.forget) {
    ATELIER_CHECK_OK(trust.forget_folder(workspace.root()));
    return print(fmt::format("{}: not trusted any more\n", workspace.root().string()));
  }
  ATELIER_TRY(const std::string text, agent::project_servers_text(workspace));
  ATELIER_TRY(const auto servers, agent::project_server_configs(workspace, text));
  if (trust.trusts_folder(workspace.root(), text))
    return print(fmt::format("{}: trusted already\n", workspace.root().string()));
  std::string shown = fmt::format("{}\n", workspace.root().string());
  for (const agent::McpServerConfig& config : servers)
    shown += fmt::format("  .mcp.json starts {}: {}\n", config.name, command_line(config));
  if (servers.empty()) shown += "  starts nothing by itself; trusted folders are read with ctags too\n";
  ATELIER_CHECK_OK(print(shown));
  ATELIER_CHECK_OK(confirm("Trust this folder as it stands?", flags.yes));
  return trust.trust_folder(workspace.root(), text);
}

// Everything that is needed to look at servers outside of a session. `mode`: what they may do if one is
// started.
struct Servers {
  std::unique_ptr<agent::Workspace> workspace;
  std::unique_ptr<agent::CommandRunner> runner;
  agent::ToolHost host;
  std::optional<agent::TrustStore> trust;
  agent::McpServers all;
};

Result<std::unique_ptr<Servers>> open_servers(const std::string& folder, agent::SandboxMode mode) {
  auto servers = std::make_unique<Servers>();
  ATELIER_TRY(agent::Workspace workspace, agent::Workspace::open(folder));
  servers->workspace = std::make_unique<agent::Workspace>(std::move(workspace));
  ATELIER_TRY(servers->runner,
              agent::make_sandbox_runner(
                  {.policy = {.mode = mode, .workspace = servers->workspace->root()}, .means = {}}));
  servers->host = {.workspace = servers->workspace.get(), .runner = servers->runner.get()};
  ATELIER_TRY(agent::TrustStore trust, agent::TrustStore::open());
  servers->trust.emplace(std::move(trust));
  ATELIER_TRY(servers->all, agent::configured_servers(servers->host, *servers->trust));
  return servers;
}

Status run_mcp_list(const McpFlags& flags) {
  ATELIER_TRY(const std::unique_ptr<Servers> servers,
              open_servers(flags.folder, agent::SandboxMode::kReadOnly));
  std::string text;
  for (const auto& server : servers->all.servers) {
    const agent::McpServerConfig& config = server->config();
    text += fmt::format("{:<20} {}{}\n", config.name, config.of_project ? "[.mcp.json] " : "",
                        command_line(config));
    for (const agent::McpToolDefinition& tool : servers->trust->tools(config.digest))
      text += fmt::format("  {}\n", tool.name);
  }
  for (const std::string& note : servers->all.notes) text += note + "\n";
  return print(text.empty() ? "no MCP servers are configured\n" : text);
}

Result<agent::McpServer*> find_server(Servers& servers, const std::string& name) {
  for (const auto& server : servers.all.servers)
    if (server->config().name == name) return server.get();
  return fail(ErrorCode::kNotFound, "{}: no such MCP server is configured", name);
}

Status run_mcp_approve(const McpFlags& flags) {
  ATELIER_TRY(const std::unique_ptr<Servers> servers,
              open_servers(flags.folder, agent::SandboxMode::kWorkspace));
  ATELIER_TRY(agent::McpServer * server, find_server(*servers, flags.server));
  if (const std::string reason = server->asks(); !reason.empty()) {
    ATELIER_CHECK_OK(
        confirm(fmt::format("Start {}? ({})", command_line(server->config()), reason), flags.yes));
    server->agree();
  }
  ATELIER_TRY(std::vector<agent::McpToolDefinition> tools, server->list());
  if (!flags.tools.empty()) {
    for (const std::string& name : flags.tools)
      if (std::ranges::find(tools, name, &agent::McpToolDefinition::name) == tools.end())
        return fail(ErrorCode::kNotFound, "{}: the server has no tool {}", flags.server, name);
    std::erase_if(tools, [&](const agent::McpToolDefinition& tool) {
      return std::ranges::find(flags.tools, tool.name) == flags.tools.end();
    });
  }
  std::string shown;
  for (const agent::McpToolDefinition& tool : tools)
    shown += fmt::format("{}\n  {}\n  {}\n", tool.name, tool.description, agent::plain_text(tool.schema));
  ATELIER_CHECK_OK(print(shown));
  if (tools.empty()) return fail(ErrorCode::kNotFound, "{}: the server offers no tool", flags.server);
  ATELIER_CHECK_OK(
      confirm("Let the agent use these tools, as long as they are described like this?", flags.yes));
  return servers->trust->trust_tools(server->config().digest, tools);
}

Status run_mcp_forget(const McpFlags& flags) {
  ATELIER_TRY(const std::unique_ptr<Servers> servers,
              open_servers(flags.folder, agent::SandboxMode::kReadOnly));
  ATELIER_TRY(const agent::McpServer* server, find_server(*servers, flags.server));
  return servers->trust->forget_server(server->config().digest);
}

}  // namespace

void register_trust_commands(Registration r) {
  auto trust = std::make_shared<TrustFlags>();
  CLI::App* command =
      r.app.add_subcommand("trust", "Let a folder's own settings start programs, as they stand now");
  command->add_option("--cd", trust->folder, "The folder");
  command->add_flag("--yes", trust->yes, "Without asking");
  command->add_flag("--forget", trust->forget, "Take it back");
  command->callback([=] { r.selected = [=] { return run_trust(*trust); }; });

  auto mcp = std::make_shared<McpFlags>();
  CLI::App* group = r.app.add_subcommand("mcp", "MCP servers and their tools (docs/mcp.md)");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Status (*run)(const McpFlags&)) {
    CLI::App* one = group->add_subcommand(name, what);
    one->add_option("--cd", mcp->folder, "The folder whose .mcp.json counts, if it is trusted");
    one->callback([=] { r.selected = [=] { return run(*mcp); }; });
    return one;
  };
  add("list", "Servers, and the tools that were agreed to", run_mcp_list);
  CLI::App* approve = add("approve", "Start a server, look at its tools, and agree to them", run_mcp_approve);
  approve->add_option("SERVER", mcp->server, "Its name")->required();
  approve->add_option("TOOL", mcp->tools, "Only these of its tools");
  approve->add_flag("--yes", mcp->yes, "Without asking");
  add("forget", "Take agreements to a server's tools back", run_mcp_forget)
      ->add_option("SERVER", mcp->server, "Its name")
      ->required();
}

}  // namespace atelier::cli
