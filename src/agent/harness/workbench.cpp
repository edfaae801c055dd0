#include "agent/harness/workbench.h"

#include <algorithm>

#include "agent/context/ctags.h"
#include "agent/context/instructions.h"
#include "agent/context/mentions.h"
#include "agent/mcp/mcp_tools.h"
#include "agent/session/session_id.h"
#include "agent/workspace/journal.h"
#include "agent/workspace/transaction.h"
#include "base/user_folders.h"
#include "io/sha256.h"

namespace atelier::agent {
namespace {

EditRule edit_rule(SandboxMode mode) {
  switch (mode) {
    case SandboxMode::kReadOnly:
      return EditRule::kAsk;
    case SandboxMode::kWorkspace:
      return EditRule::kWorkspace;
    case SandboxMode::kFull:
      return EditRule::kFree;
  }
  return EditRule::kAsk;
}

std::string sandbox_line(const SandboxPolicy& policy) {
  const std::string_view network = policy.network ? "they may use the network" : "there is no network";
  switch (policy.mode) {
    case SandboxMode::kReadOnly:
      return fmt::format("Commands may read the machine but write nothing but temporary files; {}.", network);
    case SandboxMode::kWorkspace:
      return fmt::format("Commands may write this folder and temporary files only; {}.", network);
    case SandboxMode::kFull:
      return "Commands run with all rights of the user; be careful.";
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<Workbench>> Workbench::open(Engine* engine, WorkbenchOptions options) {
  if (engine == nullptr && !options.provider)
    return fail(ErrorCode::kInvalidArgument, "expected a model or a provider, found neither");
  std::unique_ptr<Workbench> bench(new Workbench(std::move(options)));
  ATELIER_CHECK_OK(bench->assemble(engine));
  return bench;
}

Status Workbench::confine(SandboxMode mode) {
  SandboxRunnerOptions wanted = options_.sandbox;
  wanted.policy.mode = mode;
  ATELIER_TRY(std::unique_ptr<CommandRunner> runner, make_sandbox_runner(std::move(wanted)));
  options_.sandbox.policy.mode = mode;
  if (toolbox_) toolbox_->reset();  // what runs was started under the old rules
  host_.edits = edit_rule(mode);
  runner_ = std::move(runner);
  host_.runner = runner_.get();
  return {};
}

// Nothing is started for it, and a file that cannot be read leaves the rest of the agent as it is.
void Workbench::add_servers() {
  const auto trust = TrustStore::open();
  const auto servers = trust ? configured_servers(host_, *trust) : tl::unexpected<Error>(trust.error());
  if (!servers) {
    notes_.push_back("MCP servers are left out: " + servers.error().message);
    return;
  }
  trusted_ = trust->trusts_folder(workspace_->root(), project_servers_text(*workspace_).value_or(""));
  notes_.insert(notes_.end(), servers->notes.begin(), servers->notes.end());
  for (std::unique_ptr<Tool>& tool : approved_tools(*servers, *trust)) {
    const ToolSpec& spec = tool->spec();
    if (const Status held = toolbox_->add(std::move(tool)); !held)
      notes_.push_back(
          fmt::format("{}: its arguments are not held to its schema: {}", spec.name, held.error().message));
  }
}

std::optional<FileSymbols> Workbench::symbols_of(const std::vector<WalkEntry>& files) {
  const auto cache = user_folder(UserFolder::kCache);
  if (!cache) return std::nullopt;
  const std::string name = hex(sha256(workspace_->root().native())).substr(0, 32) + ".json";
  return cached_ctags_symbols(*runner_, files, *cache / "symbols" / name);
}

Status Workbench::assemble(Engine* engine) {
  ATELIER_TRY(Workspace workspace, Workspace::open(options_.folder));
  workspace_ = std::make_unique<Workspace>(std::move(workspace));
  options_.sandbox.policy.workspace = workspace_->root();
  if (options_.sandbox.policy.scratch.empty()) {
    ATELIER_TRY(const std::filesystem::path sessions, sessions_folder());
    options_.sandbox.policy.scratch = sessions.parent_path() / "tmp" / new_session_id();
  }
  if (options_.journal_folder.empty()) {
    ATELIER_TRY(options_.journal_folder, default_journal_folder());
  }
  ATELIER_CHECK_OK(recover(*workspace_, options_.journal_folder).map([](const Recovery&) {}));
  host_ = {.workspace = workspace_.get(),
           .outputs = &outputs_,
           .jobs = &jobs_,
           .journal_folder = options_.journal_folder};
  ATELIER_CHECK_OK(confine(options_.sandbox.policy.mode));

  std::shared_ptr<const chat::Dialect> dialect;
  if (engine != nullptr) {
    ATELIER_TRY(dialect, chat::dialect_for(engine->info().architecture, engine->shared_tokenizer(),
                                           engine->card().chat_template));
  }
  const bool harmony = dialect != nullptr && dialect->name() == "harmony";
  toolbox_ = std::make_unique<Toolbox>(host_, harmony ? ToolNames::kHarmony : ToolNames::kFunctions);
  if (options_.servers) add_servers();
  chat::Conversation opening;
  // A second call would be written before the first has changed anything.
  opening.parallel_tool_calls = false;
  opening.date = options_.date.empty() ? chat::today() : options_.date;
  opening.reasoning_effort = options_.reasoning;
  toolbox_->declare(opening);
  if (!options_.output_schema.empty())
    opening.response_format = {
        .kind = chat::ResponseFormat::Kind::kJsonSchema, .name = "answer", .schema = options_.output_schema};
  const size_t context = engine != nullptr ? engine->context_length() : options_.provider->context;
  BriefingOptions about{.sandbox = sandbox_line(options_.sandbox.policy), .harmony = harmony};
  // A small context has to keep room for the work.
  about.max_tokens = std::min(about.max_tokens, context / 4);
  about.count_tokens = [engine](std::string_view text) {
    return engine != nullptr ? engine->tokenizer().encode(text).size() : text.size() / 3;
  };
  if (trusted_) about.symbols = [this](const std::vector<WalkEntry>& files) { return symbols_of(files); };
  opening.messages.push_back({.role = chat::Role::kSystem, .content = briefing(*workspace_, about)});
  if (engine != nullptr) {
    ATELIER_CHECK_OK(make_local_speaker(*engine, std::move(dialect), std::move(opening)));
  } else {
    ATELIER_TRY(speaker_, RemoteSpeaker::create(*options_.provider, std::move(opening)));
    notes_.push_back("The model is remote: what is said, shown and run here is sent to " +
                     options_.provider->url + ".");
  }
  // A small context has to keep room here too: a byte for each of its tokens is a quarter of it or so.
  const size_t mentioned = std::min(MentionOptions{}.max_bytes, context);
  options_.agent.message = [this, mentioned](std::string_view task) {
    return with_mentions(*workspace_, task, {.max_bytes = mentioned});
  };
  agent_ = std::make_unique<Agent>(*speaker_, *toolbox_, outputs_, options_.agent);
  return {};
}

Status Workbench::make_local_speaker(Engine& engine, std::shared_ptr<const chat::Dialect> dialect,
                                     chat::Conversation opening) {
  // What cannot be enforced is refused before anything is said.
  ATELIER_CHECK_OK(
      chat::answer_constraint(opening.response_format, *engine.constraints()).map([](const auto&) {}));
  rules_ = std::make_unique<TurnRules>(TurnRulesOptions{.dialect = dialect,
                                                        .constraints = engine.constraints(),
                                                        .toolbox = toolbox_.get(),
                                                        .workspace = workspace_.get(),
                                                        .constrain = options_.constrain,
                                                        .bind_patches = options_.bind_patches});
  auto speaker = std::make_unique<LocalSpeaker>(engine, std::move(dialect), *rules_, std::move(opening));
  if (!options_.kv_folder.empty()) {
    ATELIER_TRY(KvStore store,
                KvStore::open(engine, {.folder = options_.kv_folder, .max_bytes = options_.kv_bytes}));
    kv_store_ = std::make_unique<KvStore>(std::move(store));
    speaker->use(kv_store_.get());
  }
  speaker_ = std::move(speaker);
  return {};
}

}  // namespace atelier::agent
