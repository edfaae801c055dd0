#include "cli/agent_flags.h"

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
  if (reasoning == "low") options.bench.reasoning = chat::ReasoningEffort::kLow;
  if (reasoning == "medium") options.bench.reasoning = chat::ReasoningEffort::kMedium;
  if (reasoning == "high") options.bench.reasoning = chat::ReasoningEffort::kHigh;
  return options;
}

void AgentFlags::adapt(const Engine& engine, agent::AgentSessionOptions& options) const {
  options.bench.agent.sampler = sampling.resolve(engine.card().sampling);
}

}  // namespace atelier::cli
