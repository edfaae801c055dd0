// What the user has agreed to beyond one command: folders whose own servers may be started, and tools of
// servers. Both are bound to content: what changes is not trusted any more.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

// A tool as its server described it.
struct McpToolDefinition {
  std::string name{};
  std::string description{};
  std::string schema{};  // JSON Schema of the arguments, compact
};
// Over the server's digest and all of the definition.
std::string tool_digest(std::string_view server_digest, const McpToolDefinition& tool);

class TrustStore {
 public:
  // Of the user: $XDG_STATE_HOME/atelier/trust.json. Nothing is made before something is agreed to. Errors: a
  // file that is damaged.
  static Result<TrustStore> open();
  static Result<TrustStore> open(const std::filesystem::path& path);

  // `content`: what the folder would have us obey (its .mcp.json).
  bool trusts_folder(const std::filesystem::path& root, std::string_view content) const;
  // These write at once, and take in what other processes wrote meanwhile.
  Status trust_folder(const std::filesystem::path& root, std::string_view content);
  Status forget_folder(const std::filesystem::path& root);

  // Of the server with this digest, the tools that were agreed to, by name.
  std::vector<McpToolDefinition> tools(std::string_view server_digest) const;
  Status trust_tools(std::string_view server_digest, const std::vector<McpToolDefinition>& tools);
  Status forget_server(std::string_view server_digest);

 private:
  explicit TrustStore(std::filesystem::path path) : path_(std::move(path)) {}
  Status load();
  Status save() const;
  template <class Change>
  Status change(Change&& change);

  std::filesystem::path path_;
  std::map<std::string, std::string, std::less<>> folders_;                   // root → digest of its content
  std::map<std::string, std::vector<McpToolDefinition>, std::less<>> tools_;  // by the server's digest
};

}  // namespace atelier::agent
