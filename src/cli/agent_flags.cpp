#include "cli/agent_flags.h"

#include <cstdlib>

#include "agent/remote/provider_config.h"

namespace atelier::cli {

void AgentFlags::add_to(CLI::App& command, const std::string& default_approve) {
  approve = default_approve;
  model.add_to(command, /*required=*/false);
  sampling.add_to(command);
  command.add_option("--cd", folder, "The folder to work in");
  command.add_option("--sandbox", sandbox, "What commands and edits may do")
      ->check(CLI::IsMember({"read-only", "workspace", "full"}));
  command.add_flag("--network", network, "Grant commands the network");
  command.add_option("--writable", writable, "A further folder that commands may write")
      ->type_name("DIR")
      ->allow_extra_args(false);
  command.add_option("--env", environment, "A further environment variable that commands see")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command.add_option("--approve", approve, "What happens to what the sandbox does not allow unasked")
      ->check(CLI::IsMember({"never", "ask", "auto"}))
      ->capture_default_str();
  command.add_option("--reasoning", reasoning, "Effort of models that reason")
      ->check(CLI::IsMember({"low", "medium", "high"}));
  command.add_flag("--no-kv-cache", no_kv_cache,
                   "Keep no keys and values on disk: the next start computes them again");
  command
      .add_option("--patch-grammar", patch_grammar,
                  "Hold patches to the lines of the files that the model has seen")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  command
      .add_option("--provider", provider,
                  "Work with a model behind this OpenAI-compatible URL, or that of this name in your "
                  "providers.json; -m is its name there. What is said and shown leaves this machine. "
                  "\"local\": with one on this machine")
      ->type_name("URL|NAME");
  command
      .add_option("--provider-key-env", provider_key,
                  "The environment variable with the provider's key (ATELIER_PROVIDER_KEY)")
      ->type_name("NAME");
  command
      .add_option("--provider-context", provider_context, "Tokens the provider's model has room for (131072)")
      ->check(CLI::Range(2048, 1 << 24));
}

Result<agent::AgentSessionOptions> AgentFlags::session_options() const {
  agent::AgentSessionOptions options{.model = model.model, .keep_kv = !no_kv_cache};
  options.bench.folder = folder;
  options.bench.servers = true;
  options.bench.bind_patches = patch_grammar == "on";
  agent::SandboxPolicy& policy = options.bench.sandbox.policy;
  ATELIER_TRY(policy.mode, agent::parse_sandbox_mode(sandbox));
  policy.network = network;
  for (const std::string& folder_to_write : writable) policy.writable.emplace_back(folder_to_write);
  policy.environment = environment;
  ATELIER_TRY(options.bench.provider, chosen_provider());
  if (options.bench.provider) options.model = options.bench.provider->model;
  if (reasoning == "low") options.bench.reasoning = chat::ReasoningEffort::kLow;
  if (reasoning == "medium") options.bench.reasoning = chat::ReasoningEffort::kMedium;
  if (reasoning == "high") options.bench.reasoning = chat::ReasoningEffort::kHigh;
  return options;
}

// A model that is named, and no provider, is one of this machine's: the user's usual provider is for who
// names neither.
Result<std::optional<agent::Provider>> AgentFlags::chosen_provider() const {
  if (provider == "local" || (provider.empty() && !model.model.empty())) return std::nullopt;
  agent::ProviderConfig chosen{.url = provider};
  if (provider.find("://") == std::string::npos) {
    ATELIER_TRY(const agent::ProviderConfigs known, agent::user_provider_configs());
    if (provider.empty() && known.usual.empty()) return std::nullopt;
    const agent::ProviderConfig* named = known.find(provider.empty() ? known.usual : provider);
    if (named == nullptr)
      return fail(ErrorCode::kNotFound,
                  "provider: expected a URL or a name from your providers.json, found {}", provider);
    chosen = *named;
  }
  if (!model.model.empty()) chosen.model = model.model;
  if (chosen.model.empty())
    return fail(ErrorCode::kInvalidArgument, "provider: expected -m with the model's name there, found none");
  if (!provider_key.empty()) chosen.key_name = provider_key;
  const char* key = std::getenv(chosen.key_name.c_str());
  return agent::Provider{
      .url = chosen.url,
      .model = chosen.model,
      .key = key == nullptr ? "" : key,
      .key_name = chosen.key_name,
      .context = provider_context.value_or(chosen.context.value_or(agent::Provider{}.context)),
      .temperature = sampling.choice.temperature,
      .top_p = sampling.choice.top_p,
      .seed = sampling.choice.seed};
}

void AgentFlags::adapt(const Engine& engine, agent::AgentSessionOptions& options) const {
  options.bench.agent.sampler = sampling.resolve(engine.card().sampling);
}

}  // namespace atelier::cli
