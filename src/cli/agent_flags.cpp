#include "cli/agent_flags.h"

#include <cstdlib>

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
                  "Work with a model behind this OpenAI-compatible URL; -m is its name there. What is "
                  "said and shown leaves this machine")
      ->type_name("URL");
  command.add_option("--provider-key-env", provider_key, "The environment variable with the provider's key")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--provider-context", provider_context, "Tokens the provider's model has room for")
      ->check(CLI::Range(2048, 1 << 24))
      ->capture_default_str();
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
  if (remote()) {
    if (model.model.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "provider: expected -m with the model's name there, found none");
    const char* key = std::getenv(provider_key.c_str());
    options.bench.provider = agent::Provider{.url = provider,
                                             .model = model.model,
                                             .key = key == nullptr ? "" : key,
                                             .key_name = provider_key,
                                             .context = provider_context,
                                             .temperature = sampling.choice.temperature,
                                             .top_p = sampling.choice.top_p,
                                             .seed = sampling.choice.seed};
  }
  if (reasoning == "low") options.bench.reasoning = chat::ReasoningEffort::kLow;
  if (reasoning == "medium") options.bench.reasoning = chat::ReasoningEffort::kMedium;
  if (reasoning == "high") options.bench.reasoning = chat::ReasoningEffort::kHigh;
  return options;
}

void AgentFlags::adapt(const Engine& engine, agent::AgentSessionOptions& options) const {
  options.bench.agent.sampler = sampling.resolve(engine.card().sampling);
}

}  // namespace atelier::cli
