#include "agent/tools/sandbox_runner.h"

#include <mutex>

namespace atelier::agent {
namespace {

class SandboxRunner final : public CommandRunner {
 public:
  explicit SandboxRunner(SandboxRunnerOptions options) : options_(std::move(options)) {}
  SandboxRunner(const SandboxRunner&) = delete;
  SandboxRunner& operator=(const SandboxRunner&) = delete;
  ~SandboxRunner() override {
    sandbox_.reset();
    std::error_code ignored;
    if (made_scratch_) std::filesystem::remove_all(options_.policy.scratch, ignored);
  }

  std::string asks(const Command& command) override {
    const Result<Sandbox*> sandbox = open();
    if (!sandbox) return {};  // run() says why it cannot be
    if (command.network && !options_.policy.network && options_.policy.mode != SandboxMode::kFull)
      return "it wants the network";
    if ((*sandbox)->runs_unasked()) return {};
    return (*sandbox)->support().tier == SandboxTier::kB ? "this machine cannot confine what it writes well"
                                                         : "this machine cannot confine commands";
  }

  bool can_try(const Command& command) override {
    const Result<Sandbox*> sandbox = open();
    return sandbox && !command.network && (*sandbox)->support().tier == SandboxTier::kB;
  }

  Result<CommandOutcome> run(const Command& command) override {
    ATELIER_TRY(Sandbox * sandbox, open());
    SandboxRunOptions options{.timeout = command.timeout, .on_output = command.on_output, .cancelled = {}};
    if (command.cancel != nullptr) options.cancelled = [&command] { return command.cancel->load(); };
    ATELIER_TRY(const SandboxEnd end, sandbox->run(translated(command), options));
    CommandOutcome outcome{.end = CommandOutcome::End::kExited, .exit_code = end.exit_code()};
    if (end.how == SandboxEnd::How::kTimedOut) outcome.end = CommandOutcome::End::kTimedOut;
    if (end.how == SandboxEnd::How::kCancelled) outcome.end = CommandOutcome::End::kCancelled;
    return outcome;
  }

  Result<SandboxProcess> start(const Command& command) override {
    ATELIER_TRY(Sandbox * sandbox, open());
    return sandbox->start(translated(command));
  }

  std::string description() override {
    const SandboxPolicy& policy = options_.policy;
    if (policy.mode == SandboxMode::kFull) return "full: no sandbox";
    const Result<Sandbox*> sandbox = open();
    if (!sandbox) return "no sandbox: " + sandbox.error().message;
    return fmt::format("{}, {}, tier {}", sandbox_mode_name(policy.mode),
                       policy.network ? "network" : "no network",
                       sandbox_tier_name((*sandbox)->support().tier));
  }

  std::string banner() override {
    if (options_.policy.mode == SandboxMode::kFull) return {};
    const Result<Sandbox*> sandbox = open();
    if (!sandbox) return sandbox.error().message;
    const std::string_view missing = sandbox_banner((*sandbox)->support().tier);
    return missing.empty() ? "" : fmt::format("{} ({})", missing, (*sandbox)->support().reason);
  }

 private:
  Result<Sandbox*> open() {
    const std::lock_guard lock(mutex_);
    if (sandbox_) return &*sandbox_;
    ATELIER_CHECK_OK(make_scratch());
    ATELIER_TRY(Sandbox sandbox, options_.means ? Sandbox::open_with(options_.policy, *options_.means)
                                                : Sandbox::open(options_.policy));
    sandbox_.emplace(std::move(sandbox));
    return &*sandbox_;
  }

  Status make_scratch() {
    if (options_.policy.scratch.empty() || made_scratch_) return {};
    std::error_code code;
    std::filesystem::create_directories(options_.policy.scratch, code);
    if (!code) std::filesystem::permissions(options_.policy.scratch, std::filesystem::perms::owner_all, code);
    if (code) return fail(ErrorCode::kIo, "{}: {}", options_.policy.scratch.string(), code.message());
    made_scratch_ = true;
    return {};
  }

  SandboxCommand translated(const Command& command) const {
    return {.argv = command.argv,
            .folder = (options_.policy.workspace / command.folder).string(),
            .environment = command.environment,
            .input = command.input,
            .converse = command.talk,
            .read_only = command.trial,
            .agreed = command.agreed,
            .network = command.network};
  }

  SandboxRunnerOptions options_;
  std::mutex mutex_;  // guards what follows
  std::optional<Sandbox> sandbox_;
  bool made_scratch_ = false;
};

}  // namespace

Result<std::unique_ptr<CommandRunner>> make_sandbox_runner(SandboxRunnerOptions options) {
  ATELIER_CHECK_OK(Sandbox::check(options.policy));
  return std::make_unique<SandboxRunner>(std::move(options));
}

}  // namespace atelier::agent
