// Which MCP servers there are: the user's own file, and the one a workspace may bring along.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/workspace/workspace.h"
#include "base/result.h"

namespace atelier::agent {

struct McpServerConfig {
  std::string name{};
  std::vector<std::string> argv{};
  std::vector<std::pair<std::string, std::string>> environment{};
  bool network = false;     // of the machine; granted with the server's tools
  bool of_project = false;  // from the workspace's .mcp.json
  // Over everything above, and the workspace of a project's: what an approval is bound to.
  std::string digest{};
};

// {"mcpServers": {"NAME": {"command": "…", "args": ["…"], "env": {"A": "b"}, "network": false}}}, the form
// other agents read too; servers with "disabled": true are left out. `what` names the text in errors,
// `origin` goes into the digests. kInvalidArgument names the member; kUnsupported for servers that are URLs.
Result<std::vector<McpServerConfig>> parse_server_configs(std::string_view text, std::string_view what,
                                                          std::string_view origin, bool of_project);

// The user's ($XDG_CONFIG_HOME/atelier/mcp.json); none where there is no such file.
Result<std::vector<McpServerConfig>> user_server_configs();

// The workspace's .mcp.json as it stands; empty where there is none. It may be anyone's: see trust.h.
inline constexpr const char* kProjectServersFile = ".mcp.json";
Result<std::string> project_servers_text(const Workspace& workspace);
Result<std::vector<McpServerConfig>> project_server_configs(const Workspace& workspace,
                                                            std::string_view text);

}  // namespace atelier::agent
