// Tools of MCP servers that somebody has agreed to, as tools of the agent.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/mcp/server.h"
#include "agent/tools/tool.h"

namespace atelier::agent {

struct McpServers {
  std::vector<std::shared_ptr<McpServer>> servers;
  std::vector<std::string> notes;  // for people: what is left out, and why
};
// The user's servers, and those of the host's workspace if the folder is trusted as it stands. Starts
// nothing.
Result<McpServers> configured_servers(const ToolHost& host, const TrustStore& trust);

// "server__tool" for each tool that was agreed to, from what the store remembers: no server is started before
// one of its tools is called, and nothing in a prompt depends on what a server says today.
std::vector<std::unique_ptr<Tool>> approved_tools(const McpServers& servers, const TrustStore& trust);

}  // namespace atelier::agent
