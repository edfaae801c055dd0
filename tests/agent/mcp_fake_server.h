// An MCP server that behaves as it is told to: test_agent --mcp-server MODE.
#pragma once

#include <optional>

namespace atelier::agent {

std::optional<int> run_fake_mcp_server(int argc, char** argv);

}  // namespace atelier::agent
