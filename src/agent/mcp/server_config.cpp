#include "agent/mcp/server_config.h"

#include <algorithm>

#include "agent/workspace/quote.h"
#include "base/file.h"
#include "base/user_folders.h"
#include "chat/json_text.h"
#include "io/sha256.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxServers = 64;

bool is_server_name(std::string_view name) {
  constexpr size_t kMax = 32;
  return !name.empty() && name.size() <= kMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Result<std::string> text_of(const Json& value, std::string_view where) {
  if (!value.is_string()) return fail(ErrorCode::kInvalidArgument, "{}: expected a text", where);
  const auto& text = value.get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "{}: expected a text without zero bytes", where);
  return text;
}

Result<McpServerConfig> parse_one(const std::string& name, const Json& entry, const std::string& where) {
  if (!is_server_name(name))
    return fail(ErrorCode::kInvalidArgument, "{}: expected up to 32 letters, digits, - and _ as a name",
                where);
  if (chat::member(entry, "url") != nullptr)
    return fail(ErrorCode::kUnsupported, "{}: only servers that are programs are supported, found a URL",
                where);
  McpServerConfig config{.name = name};
  const Json* command = chat::member(entry, "command");
  if (command == nullptr)
    return fail(ErrorCode::kInvalidArgument, "{}: expected \"command\", found none", where);
  ATELIER_TRY(config.argv.emplace_back(), text_of(*command, where + ".command"));
  if (const Json* arguments = chat::member(entry, "args"))
    for (const Json& argument : *arguments) {
      ATELIER_TRY(config.argv.emplace_back(), text_of(argument, where + ".args"));
    }
  if (const Json* environment = chat::member(entry, "env")) {
    if (!environment->is_object())
      return fail(ErrorCode::kInvalidArgument, "{}.env: expected an object", where);
    for (const auto& [key, value] : environment->items()) {
      ATELIER_TRY(std::string text, text_of(value, where + ".env"));
      config.environment.emplace_back(key, std::move(text));
    }
  }
  if (const Json* network = chat::member(entry, "network"))
    config.network = network->is_boolean() && network->get<bool>();
  return config;
}

std::string digest_of(const McpServerConfig& config, std::string_view origin) {
  const Json all = {config.name, config.argv, config.environment, config.network, config.of_project, origin};
  return hex(sha256(chat::compact_json(all)));
}

}  // namespace

Result<std::vector<McpServerConfig>> parse_server_configs(std::string_view text, std::string_view what,
                                                          std::string_view origin, bool of_project) {
  ATELIER_TRY(const Json json, chat::parse_json(text, what));
  const Json* servers = chat::member(json, "mcpServers");
  if (servers == nullptr || !servers->is_object())
    return fail(ErrorCode::kInvalidArgument, "{}: expected an object \"mcpServers\", found none", what);
  std::vector<McpServerConfig> configs;
  for (const auto& [name, entry] : servers->items()) {
    if (const Json* off = chat::member(entry, "disabled");
        off != nullptr && off->is_boolean() && off->get<bool>())
      continue;
    if (configs.size() == kMaxServers)
      return fail(ErrorCode::kLimit, "{}: expected at most {} servers, found more", what, kMaxServers);
    ATELIER_TRY(McpServerConfig config, parse_one(name, entry, fmt::format("{}: {}", what, in_quotes(name))));
    config.of_project = of_project;
    config.digest = digest_of(config, origin);
    configs.push_back(std::move(config));
  }
  return configs;
}

Result<std::vector<McpServerConfig>> user_server_configs() {
  ATELIER_TRY(const std::filesystem::path folder, user_folder(UserFolder::kConfig));
  const std::filesystem::path path = folder / "mcp.json";
  const Result<std::string> text = read_file(path, kMaxConfigBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<McpServerConfig>();
  if (!text) return tl::unexpected<Error>(text.error());
  return parse_server_configs(*text, path.string(), "", /*of_project=*/false);
}

Result<std::string> project_servers_text(const Workspace& workspace) {
  // A folder says nothing: where the file is absent, the sandbox keeps one in its place while commands run.
  std::error_code failed;
  const auto status = std::filesystem::symlink_status(workspace.root() / kProjectServersFile, failed);
  if (std::filesystem::is_directory(status)) return std::string();
  const auto file = workspace.read(kProjectServersFile, kMaxConfigBytes);
  if (!file && file.error().code == ErrorCode::kNotFound) return std::string();
  if (!file) return tl::unexpected<Error>(file.error());
  return file->bytes;
}

Result<std::vector<McpServerConfig>> project_server_configs(const Workspace& workspace,
                                                            std::string_view text) {
  if (text.empty()) return std::vector<McpServerConfig>();
  return parse_server_configs(text, kProjectServersFile, workspace.root().native(), /*of_project=*/true);
}

}  // namespace atelier::agent
