#include "agent/remote/provider_config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/workspace/quote.h"
#include "base/file.h"
#include "base/user_folders.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr size_t kMaxProvidersBytes = size_t{1} << 20;
constexpr size_t kMinContext = 2048, kMaxContext = 1 << 24;

Result<std::string> provider_text(const Json& value, std::string_view where) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    return fail(ErrorCode::kInvalidArgument, "{}: expected a text", where);
  return value.get<std::string>();
}

Result<ProviderConfig> parse_provider(const std::string& name, const Json& entry, const std::string& where) {
  ProviderConfig config{.name = name};
  if (name.empty() || name == "local" || name.find("://") != std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "{}: expected a name that is neither \"local\" nor a URL",
                where);
  if (!entry.is_object()) return fail(ErrorCode::kInvalidArgument, "{}: expected an object", where);
  for (const auto& [key, value] : entry.items()) {
    const std::string place = where + "." + key;
    if (key == "url") {
      ATELIER_TRY(config.url, provider_text(value, place));
    } else if (key == "model") {
      ATELIER_TRY(config.model, provider_text(value, place));
    } else if (key == "key_env") {
      ATELIER_TRY(config.key_name, provider_text(value, place));
    } else if (key == "context") {
      if (!value.is_number_unsigned() || value.get<uint64_t>() < kMinContext ||
          value.get<uint64_t>() > kMaxContext)
        return fail(ErrorCode::kInvalidArgument, "{}: expected a number from {} to {}", place, kMinContext,
                    kMaxContext);
      config.context = value.get<size_t>();
    } else {
      return fail(ErrorCode::kInvalidArgument, "{}: expected url, model, key_env or context, found {}", where,
                  in_quotes(key));
    }
  }
  if (config.url.empty()) return fail(ErrorCode::kInvalidArgument, "{}: expected \"url\", found none", where);
  return config;
}

}  // namespace

const ProviderConfig* ProviderConfigs::find(std::string_view name) const {
  const auto found = std::ranges::find(providers, name, &ProviderConfig::name);
  return found == providers.end() ? nullptr : &*found;
}

Result<ProviderConfigs> parse_provider_configs(std::string_view text, std::string_view what) {
  ATELIER_TRY(const Json json, chat::parse_json(text, what));
  ProviderConfigs configs;
  if (!json.is_object()) return fail(ErrorCode::kInvalidArgument, "{}: expected an object", what);
  for (const auto& [key, value] : json.items()) {
    if (key == "default") {
      ATELIER_TRY(configs.usual, provider_text(value, fmt::format("{}: default", what)));
    } else if (key == "providers" && value.is_object()) {
      for (const auto& [name, entry] : value.items()) {
        ATELIER_TRY(ProviderConfig config,
                    parse_provider(name, entry, fmt::format("{}: {}", what, in_quotes(name))));
        configs.providers.push_back(std::move(config));
      }
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: expected an object \"providers\" and a text \"default\", found {}", what,
                  in_quotes(key));
    }
  }
  if (!configs.usual.empty() && configs.find(configs.usual) == nullptr)
    return fail(ErrorCode::kInvalidArgument, "{}: default: expected one of the providers, found {}", what,
                in_quotes(configs.usual));
  return configs;
}

Result<ProviderConfigs> user_provider_configs() {
  ATELIER_TRY(const std::filesystem::path folder, user_folder(UserFolder::kConfig));
  const std::filesystem::path path = folder / "providers.json";
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) return ProviderConfigs();
  const bool others_write = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool of_others = info.st_uid != ::geteuid() && info.st_uid != 0;
  if (others_write || of_others)
    return fail(ErrorCode::kInvalidArgument,
                "{}: expected a file that only you may write, found one that others may", path.string());
  ATELIER_TRY(const std::string text, read_file(path, kMaxProvidersBytes));
  return parse_provider_configs(text, path.string());
}

}  // namespace atelier::agent
