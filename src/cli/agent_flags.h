// Flags shared by the two ways to run the agent: at a terminal, and on one task.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/session/agent_session.h"
#include "cli/model_flags.h"

namespace atelier::cli {

struct AgentFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string folder = ".";
  std::string sandbox = "workspace";
  std::string approve;
  std::string reasoning;
  bool network = false;
  std::vector<std::string> writable, environment;
  bool no_kv_cache = false;
  std::string patch_grammar = "on";
  std::string provider;                    // a URL, a name of the user's providers.json, or "local"
  std::string provider_key;                // the environment variable's name
  std::optional<size_t> provider_context;  // in tokens

  // --cd, --sandbox, --network, --writable, --env, --approve (with its default), --reasoning, --no-kv-cache,
  // --patch-grammar, --provider and what belongs to it, those of model and sampling.
  void add_to(CLI::App& command, const std::string& default_approve);
  // Everything that does not depend on the model. With a provider in it, no engine is needed.
  Result<agent::AgentSessionOptions> session_options() const;
  // And what does: the publisher's sampling.
  void adapt(const Engine& engine, agent::AgentSessionOptions& options) const;

 private:
  Result<std::optional<agent::Provider>> chosen_provider() const;
};

}  // namespace atelier::cli
