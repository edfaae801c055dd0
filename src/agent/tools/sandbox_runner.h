// Commands in the sandbox: all that the agent ever starts goes through here.
#pragma once

#include <memory>
#include <optional>

#include "agent/tools/command_runner.h"

namespace atelier::agent {

struct SandboxRunnerOptions {
  SandboxPolicy policy{};
  std::optional<SandboxMeans> means{};  // this one or an error, instead of the best the machine has
};

// Starts nothing and writes nothing before something is asked of it that needs to know the machine: looking
// at a folder must not. A scratch folder of the policy is made then, and removed with the runner.
// Errors: those of Sandbox::check().
Result<std::unique_ptr<CommandRunner>> make_sandbox_runner(SandboxRunnerOptions options);

}  // namespace atelier::agent
