#include "agent/mcp/trust.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/user_folders.h"
#include "chat/json_text.h"
#include "io/sha256.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr size_t kMaxTrustBytes = size_t{16} << 20;

tl::unexpected<Error> damaged(const std::filesystem::path& path, std::string_view what) {
  return fail(ErrorCode::kCorrupt, "{}: expected {}; remove the file to trust nothing", path.string(), what);
}

}  // namespace

std::string tool_digest(std::string_view server_digest, const McpToolDefinition& tool) {
  return hex(sha256(chat::compact_json(Json{server_digest, tool.name, tool.description, tool.schema})));
}

Result<TrustStore> TrustStore::open() {
  ATELIER_TRY(const std::filesystem::path folder, user_folder(UserFolder::kState));
  return open(folder / "trust.json");
}

Result<TrustStore> TrustStore::open(const std::filesystem::path& path) {
  TrustStore store(path);
  ATELIER_CHECK_OK(store.load());
  return store;
}

Status TrustStore::load() {
  folders_.clear();
  tools_.clear();
  const Result<std::string> text = read_file(path_, kMaxTrustBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return {};
  if (!text) return tl::unexpected<Error>(text.error());
  ATELIER_TRY(const Json json, chat::parse_json(*text, path_.string()));
  const Json* folders = chat::member(json, "folders");
  const Json* servers = chat::member(json, "servers");
  if (folders == nullptr || !folders->is_object() || servers == nullptr || !servers->is_object())
    return damaged(path_, "\"folders\" and \"servers\"");
  for (const auto& [root, digest] : folders->items()) {
    if (!digest.is_string()) return damaged(path_, "digests of folders");
    folders_[root] = digest.get<std::string>();
  }
  for (const auto& [server, tools] : servers->items())
    for (const Json& tool : tools) {
      const std::string* name = chat::string_member(tool, "name");
      const std::string* description = chat::string_member(tool, "description");
      const std::string* schema = chat::string_member(tool, "schema");
      if (name == nullptr || description == nullptr || schema == nullptr)
        return damaged(path_, "tools with name, description and schema");
      tools_[server].push_back({*name, *description, *schema});
    }
  return {};
}

Status TrustStore::save() const {
  Json folders = Json::object(), servers = Json::object();
  for (const auto& [root, digest] : folders_) folders[root] = digest;
  for (const auto& [server, tools] : tools_) {
    Json& list = servers[server] = Json::array();
    for (const McpToolDefinition& tool : tools)
      list.push_back({{"name", tool.name}, {"description", tool.description}, {"schema", tool.schema}});
  }
  const Json all = {{"folders", std::move(folders)}, {"servers", std::move(servers)}};
  return write_file_atomically(path_, all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

template <class Change>
Status TrustStore::change(Change&& change) {
  std::error_code failed;
  std::filesystem::create_directories(path_.parent_path(), failed);
  const std::filesystem::path lock_path = path_.string() + ".lock";
  const Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX) != 0)
    return tl::unexpected<Error>(errno_error(lock_path, errno));
  ATELIER_CHECK_OK(load());
  change();
  return save();
}

bool TrustStore::trusts_folder(const std::filesystem::path& root, std::string_view content) const {
  const auto found = folders_.find(root.native());
  return found != folders_.end() && found->second == hex(sha256(content));
}

Status TrustStore::trust_folder(const std::filesystem::path& root, std::string_view content) {
  return change([&] { folders_[root.native()] = hex(sha256(content)); });
}

Status TrustStore::forget_folder(const std::filesystem::path& root) {
  return change([&] { folders_.erase(root.native()); });
}

std::vector<McpToolDefinition> TrustStore::tools(std::string_view server_digest) const {
  const auto found = tools_.find(server_digest);
  return found == tools_.end() ? std::vector<McpToolDefinition>() : found->second;
}

Status TrustStore::trust_tools(std::string_view server_digest, const std::vector<McpToolDefinition>& tools) {
  return change([&] {
    std::vector<McpToolDefinition>& known = tools_[std::string(server_digest)];
    for (const McpToolDefinition& tool : tools) {
      std::erase_if(known, [&](const McpToolDefinition& old) { return old.name == tool.name; });
      known.push_back(tool);
    }
    std::ranges::sort(known, {}, &McpToolDefinition::name);
  });
}

Status TrustStore::forget_server(std::string_view server_digest) {
  return change([&] { tools_.erase(std::string(server_digest)); });
}

}  // namespace atelier::agent
