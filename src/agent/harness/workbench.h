// One agent with everything it needs, put together for a workspace and a model.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/context/symbols.h"
#include "agent/harness/agent.h"
#include "agent/harness/local_speaker.h"
#include "agent/remote/remote_speaker.h"
#include "agent/tools/file_walk.h"
#include "agent/tools/sandbox_runner.h"
#include "agent/tools/toolbox.h"
#include "engine/engine.h"

namespace atelier::agent {

struct WorkbenchOptions {
  std::filesystem::path folder = ".";
  std::filesystem::path session_folder{};  // for outputs kept whole
  std::filesystem::path journal_folder{};  // of edits; empty: the user's
  std::filesystem::path kv_folder{};       // of keys and values kept on disk; empty: none are
  uint64_t kv_bytes = 0;                   // of it at most; 0: KvStore's own measure
  // What commands may do, and edits by its mode. The workspace is set here, and where there is none a scratch
  // folder below the user's state folder.
  SandboxRunnerOptions sandbox{};
  std::string output_schema{};  // of the final answer
  bool constrain = true;        // false: calls are not held to their schema
  bool bind_patches = true;     // false: patches are held to their schema only
  std::string date{};           // shown to the model, frozen for the session
  std::optional<chat::ReasoningEffort> reasoning{};
  // Tools of MCP servers that were agreed to: the user's servers, and a trusted folder's own.
  bool servers = false;
  std::optional<Provider> provider{};  // of a remote model, instead of an engine
  AgentOptions agent{};
};

class Workbench {
 public:
  // Recovers an interrupted edit of the workspace first. The engine must outlive it. Errors: kNotFound (the
  // folder), kUnsupported (a model whose dialect is unknown, a schema that cannot be enforced), kIo.
  static Result<std::unique_ptr<Workbench>> open(Engine& engine, WorkbenchOptions options) {
    return open(&engine, std::move(options));
  }
  // The same; without an engine the options name a provider.
  static Result<std::unique_ptr<Workbench>> open(Engine* engine, WorkbenchOptions options);

  Agent& agent() { return *agent_; }
  Speaker& speaker() { return *speaker_; }
  const Workspace& workspace() const { return *workspace_; }
  const Toolbox& toolbox() const { return *toolbox_; }
  CommandRunner& runner() const { return *runner_; }
  // For people, about what was left out when it was opened.
  const std::vector<std::string>& notes() const { return notes_; }
  SandboxMode sandbox_mode() const { return options_.sandbox.policy.mode; }
  // From the next command or edit on.
  Status confine(SandboxMode mode);
  // Where long outputs go from now on.
  void use_session_folder(const std::filesystem::path& folder) { outputs_ = OutputStore(folder / "output"); }
  const std::filesystem::path& journal_folder() const { return options_.journal_folder; }

 private:
  explicit Workbench(WorkbenchOptions options)
      : options_(std::move(options)), outputs_(options_.session_folder / "output") {}
  Status assemble(Engine* engine);
  Status make_local_speaker(Engine& engine, std::shared_ptr<const chat::Dialect> dialect,
                            chat::Conversation opening);
  void add_servers();
  std::optional<FileSymbols> symbols_of(const std::vector<WalkEntry>& files);

  WorkbenchOptions options_;
  OutputStore outputs_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<CommandRunner> runner_;
  JobTable jobs_;
  ToolHost host_;
  std::unique_ptr<Toolbox> toolbox_;
  std::vector<std::string> notes_;
  bool trusted_ = false;  // the folder, as it stands
  std::unique_ptr<TurnRules> rules_;
  std::unique_ptr<KvStore> kv_store_;  // null: nothing is kept
  std::unique_ptr<Speaker> speaker_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace atelier::agent
