#include "agent/mcp/server.h"

#include <algorithm>

#include "agent/tools/output_text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using chat::Json;

// The version of the protocol we speak; servers answer with it or with an older one, which differ in nothing
// that is used here.
constexpr const char* kProtocolVersion = "2025-06-18";
constexpr size_t kMaxDescription = 4096, kMaxSchema = size_t{64} << 10;
constexpr size_t kMaxPages = 100;

// Names as they go into prompts and grammars.
bool is_tool_name(std::string_view name) {
  constexpr size_t kMax = 64;
  return !name.empty() && name.size() <= kMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// What the server says of one tool; nothing where it cannot be offered to a model.
std::optional<McpToolDefinition> definition_of(const Json& tool) {
  const std::string* name = chat::string_member(tool, "name");
  const std::string* description = chat::string_member(tool, "description");
  const Json* schema = chat::member(tool, "inputSchema");
  if (name == nullptr || !is_tool_name(*name)) return std::nullopt;
  McpToolDefinition definition{.name = *name};
  if (description != nullptr) definition.description = plain_text(*description);
  if (definition.description.size() > kMaxDescription)
    definition.description =
        shorten_middle(definition.description, kMaxDescription, "[{} bytes left out]").text;
  definition.schema =
      schema != nullptr && schema->is_object() ? chat::compact_json(*schema) : R"({"type":"object"})";
  if (definition.schema.size() > kMaxSchema) return std::nullopt;
  return definition;
}

std::string text_of_content(const Json& content) {
  const std::string* type = chat::string_member(content, "type");
  const std::string* text = chat::string_member(content, "text");
  if (type == nullptr) return {};
  if (*type == "text" && text != nullptr) return *text;
  if (*type == "resource")
    if (const Json* resource = chat::member(content, "resource"))
      if (const std::string* inside = chat::string_member(*resource, "text")) return *inside;
  if (*type == "resource_link")
    if (const std::string* uri = chat::string_member(content, "uri")) return "[resource " + *uri + "]";
  const std::string* data = chat::string_member(content, "data");
  return fmt::format("[{} of {} bytes, which cannot be shown]", plain_text(*type),
                     data == nullptr ? 0 : data->size() * 3 / 4);
}

}  // namespace

std::string McpServer::asks() {
  return connection_ || agreed_ ? "" : host_.runner->asks({.argv = config_.argv});
}

Status McpServer::connect(const RpcWait& wait) {
  ATELIER_TRY(SandboxProcess process,
              host_.runner->start({.argv = config_.argv,
                                   // The network was agreed to with the server's tools.
                                   .agreed = agreed_ || config_.network,
                                   .network = config_.network,
                                   .talk = true,
                                   .environment = config_.environment}));
  // Of what servers ask, only where they work is answered.
  const std::string uri = "file://" + host_.workspace->root().string();
  RpcConnection connection(std::move(process), config_.name, [uri](std::string_view method) -> Result<Json> {
    if (method == "roots/list") return Json{{"roots", {{{"uri", uri}, {"name", "workspace"}}}}};
    return fail(ErrorCode::kNotFound, "");
  });
  ATELIER_TRY(const Json greeting, connection.call("initialize",
                                                   {{"protocolVersion", kProtocolVersion},
                                                    {"capabilities", {{"roots", Json::object()}}},
                                                    {"clientInfo", {{"name", "atelier"}, {"version", "1"}}}},
                                                   wait));
  ATELIER_CHECK_OK(connection.notify("notifications/initialized", Json::object()));
  connection_.emplace(std::move(connection));
  tools_.clear();
  Json parameters = Json::object();
  for (size_t page = 0; page < kMaxPages; ++page) {
    auto result = connection_->call("tools/list", parameters, wait);
    if (!result) {
      connection_.reset();
      return tl::unexpected<Error>(std::move(result).error());
    }
    if (const Json* tools = chat::member(*result, "tools"); tools != nullptr && tools->is_array())
      for (const Json& tool : *tools) {
        std::optional<McpToolDefinition> definition = definition_of(tool);
        const bool known = definition && std::ranges::any_of(tools_, [&](const auto& other) {
                             return other.name == definition->name;
                           });
        if (definition && !known && tools_.size() < kMaxTools) tools_.push_back(std::move(*definition));
      }
    const std::string* next = chat::string_member(*result, "nextCursor");
    if (next == nullptr || next->empty()) break;
    parameters = {{"cursor", *next}};
  }
  return {};
}

Result<std::vector<McpToolDefinition>> McpServer::list(const RpcWait& wait) {
  connection_.reset();
  ATELIER_CHECK_OK(connect(wait));
  return tools_;
}

Result<McpServer::Answer> McpServer::call(const McpToolDefinition& tool, const Json& arguments,
                                          const RpcWait& wait) {
  if (!connection_) ATELIER_CHECK_OK(connect(wait));
  const auto known = std::ranges::find(tools_, tool.name, &McpToolDefinition::name);
  if (known == tools_.end() || tool_digest("", *known) != tool_digest("", tool))
    return fail(ErrorCode::kInvalidArgument,
                "{}: {} is not what was agreed to any more: the server describes it otherwise now",
                config_.name, tool.name);
  auto result = connection_->call("tools/call", {{"name", tool.name}, {"arguments", arguments}}, wait);
  if (!result) {
    // One that refused goes on; one that is gone or does not answer is started anew the next time.
    if (result.error().code != ErrorCode::kInvalidArgument) connection_.reset();
    return tl::unexpected<Error>(std::move(result).error());
  }
  Answer answer;
  if (const Json* content = chat::member(*result, "content"); content != nullptr && content->is_array())
    for (const Json& part : *content) {
      if (!answer.text.empty() && answer.text.back() != '\n') answer.text += '\n';
      answer.text += text_of_content(part);
    }
  if (const Json* structured = chat::member(*result, "structuredContent");
      structured != nullptr && answer.text.empty())
    answer.text = chat::compact_json(*structured);
  const Json* failed = chat::member(*result, "isError");
  answer.failed = failed != nullptr && failed->is_boolean() && failed->get<bool>();
  return answer;
}

}  // namespace atelier::agent
