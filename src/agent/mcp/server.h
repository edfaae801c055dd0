// One MCP server: started in the sandbox when something is first asked of it.
#pragma once

#include <optional>

#include "agent/mcp/rpc.h"
#include "agent/mcp/server_config.h"
#include "agent/mcp/trust.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {

class McpServer {
 public:
  // The host must outlive it. Servers may ask where its workspace is.
  McpServer(McpServerConfig config, const ToolHost& host) : config_(std::move(config)), host_(host) {}

  const McpServerConfig& config() const { return config_; }
  // All tools it has now, with texts that are fit to be shown. At most kMaxTools.
  static constexpr size_t kMaxTools = 256;
  Result<std::vector<McpToolDefinition>> list(const RpcWait& wait = {});

  struct Answer {
    std::string text{};
    bool failed = false;
  };
  // Calls `tool` if the server describes it now exactly as it is given here. kInvalidArgument where it does
  // not, and what the server itself says.
  Result<Answer> call(const McpToolDefinition& tool, const chat::Json& arguments, const RpcWait& wait);
  // What somebody agreed to: needed where the runner asks().
  void agree() { agreed_ = true; }
  // Why somebody has to, before it is started; empty: nobody has to, or it runs already.
  std::string asks();
  void stop() { connection_.reset(); }

 private:
  Status connect(const RpcWait& wait);

  McpServerConfig config_;
  const ToolHost& host_;
  bool agreed_ = false;
  std::optional<RpcConnection> connection_;
  std::vector<McpToolDefinition> tools_;  // of this connection
};

}  // namespace atelier::agent
