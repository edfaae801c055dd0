#include "agent/mcp/mcp_tools.h"

#include "agent/tools/output_text.h"

namespace atelier::agent {
namespace {

constexpr auto kCallTimeout = std::chrono::minutes(10);

class McpTool final : public Tool {
 public:
  McpTool(ToolSpec spec, std::shared_ptr<McpServer> server, McpToolDefinition definition)
      : Tool(std::move(spec)), server_(std::move(server)), definition_(std::move(definition)) {}

  std::string summary(const Json& arguments) const override {
    constexpr size_t kMax = 200;
    return plain_text(chat::compact_json(arguments)).substr(0, kMax);
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    if (const std::string reason = server_->asks(); !reason.empty()) {
      const ApprovalRequest request{.kind = ToolKind::kCommand,
                                    .what = "start the MCP server " + server_->config().name,
                                    .reason = reason};
      if (!(run.approve && run.approve(request)))
        return {.status = ToolStatus::kDeclined,
                .text = fmt::format("The server was not started: {}, and nobody agreed to it.", reason)};
      server_->agree();
    }
    const auto answer =
        server_->call(definition_, arguments, {.timeout = kCallTimeout, .cancel = run.cancel});
    if (!answer) return failed_result(answer.error().message);
    return {.status = answer->failed ? ToolStatus::kFailed : ToolStatus::kCompleted,
            .text = answer->text.empty() ? "[no output]" : answer->text};
  }

  void reset() override { server_->stop(); }

 private:
  std::shared_ptr<McpServer> server_;
  McpToolDefinition definition_;
};

}  // namespace

Result<McpServers> configured_servers(const ToolHost& host, const TrustStore& trust) {
  const Workspace& workspace = *host.workspace;
  McpServers all;
  ATELIER_TRY(std::vector<McpServerConfig> configs, user_server_configs());
  ATELIER_TRY(const std::string text, project_servers_text(workspace));
  if (!text.empty() && !trust.trusts_folder(workspace.root(), text)) {
    all.notes.emplace_back(
        "This folder's .mcp.json names servers. They are not started: `atelier trust` shows them and asks.");
  } else {
    ATELIER_TRY(std::vector<McpServerConfig> own, project_server_configs(workspace, text));
    configs.insert(configs.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  }
  for (McpServerConfig& config : configs)
    all.servers.push_back(std::make_shared<McpServer>(std::move(config), host));
  return all;
}

std::vector<std::unique_ptr<Tool>> approved_tools(const McpServers& servers, const TrustStore& trust) {
  std::vector<std::unique_ptr<Tool>> tools;
  std::vector<std::string> names;
  for (const auto& server : servers.servers)
    for (McpToolDefinition& definition : trust.tools(server->config().digest)) {
      ToolSpec spec{.kind = ToolKind::kBrowse,
                    .name = server->config().name + "__" + definition.name,
                    .description = definition.description,
                    .schema = definition.schema};
      // A project's server cannot take the place of the user's.
      if (std::find(names.begin(), names.end(), spec.name) != names.end()) continue;
      names.push_back(spec.name);
      tools.push_back(std::make_unique<McpTool>(std::move(spec), server, std::move(definition)));
    }
  return tools;
}

}  // namespace atelier::agent
