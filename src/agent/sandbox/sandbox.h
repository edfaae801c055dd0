// The one way in which the agent runs other programs.
//
// What a command may do is decided by the kernel, from one policy, never by reading the command. How far the
// kernel of this machine goes is the tier; it is found out by trying, once, and a command never runs in a
// weaker one than was announced.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/sandbox/launch_channel.h"
#include "agent/sandbox/policy.h"
#include "base/result.h"

namespace atelier::agent {

enum class SandboxTier {
  kA,  // namespaces, mounts, Landlock, seccomp: commands may run unasked
  kB,  // Landlock and seccomp: only what the read-only policy confines may run unasked
  kC,  // nothing: every command is to be asked for
};
std::string_view sandbox_tier_name(SandboxTier tier);  // "A", "B", "C"

struct SandboxSupport {
  SandboxTier tier = SandboxTier::kC;
  SandboxMeans means = SandboxMeans::kNone;
  std::string reason{};  // what was tried and what came of it, one line
};

// What tier B does not protect, for its banner; empty for the others.
std::string_view sandbox_banner(SandboxTier tier);

struct SandboxCommand {
  std::vector<std::string> argv{};  // argv[0] is looked up in the sandbox's PATH
  std::string folder{};             // absolute; empty: the workspace
  std::vector<std::pair<std::string, std::string>> environment{};  // besides the policy's
  std::string input{};                                             // standard input
  bool converse = false;   // standard input is SandboxProcess::write(), errors are kept apart
  bool read_only = false;  // writes less than the policy allows: its temporary folder only
  // Somebody agreed to this very command: to what runs_unasked() does not cover, and to `network`.
  bool agreed = false;
  bool network = false;  // the machine's network, although the policy does not grant it
};

// How a command ended.
struct SandboxEnd {
  enum class How { kExited, kSignalled, kTimedOut, kCancelled } how = How::kExited;
  int value = 0;  // exit status, or signal
  // As a shell says it: 128 + signal, 124 for a timeout, 130 when cancelled.
  int exit_code() const;
};

// A command that runs, with everything it starts. All of it ends with this object.
class SandboxProcess {
 public:
  SandboxProcess(SandboxProcess&&) noexcept = default;
  SandboxProcess& operator=(SandboxProcess&&) = delete;
  ~SandboxProcess();

  // Appends what the command has written (standard output and error, as they came), waiting up to `patience`
  // for some. False once it has ended and everything it wrote was returned.
  Result<bool> read(std::chrono::milliseconds patience, std::string& output);
  // Of a command to converse with: writes all of `text` to its standard input. kIo once nobody reads it, or
  // nobody has for `patience`.
  Status write(std::string_view text, std::chrono::milliseconds patience);
  void close_input() { input_ = Descriptor(); }
  // The end of what it wrote to standard error, as far as read() has seen it; at most 64 KiB.
  const std::string& errors() const { return errors_text_; }
  // Ends the command and everything it started, and waits for that.
  void stop();
  // After read() was false or stop(): how it ended. kIo where the sandbox or the command could not be
  // started, with the reason.
  Result<SandboxEnd> end() const;

 private:
  friend class Sandbox;
  SandboxProcess() = default;
  void take_reports();
  void take_report(const LaunchReport& report);
  void take_errors();
  Descriptor input_, output_, errors_, report_, life_;
  std::string errors_text_;
  bool started_ = false, output_ended_ = false;
  std::optional<LaunchReport> last_;
};

struct SandboxRunOptions {
  std::chrono::milliseconds timeout{std::chrono::minutes(2)};
  std::function<void(std::string_view)> on_output{};  // raw: not fit for a terminal
  std::function<bool()> cancelled{};                  // asked about fifty times a second
};

class Sandbox {
 public:
  // What open() would say of the policy; starts nothing and is quick. kInvalidArgument for one that cannot be
  // kept (a workspace that holds the home folder, a protected name that is a link), kNotFound for missing
  // folders.
  static Status check(SandboxPolicy policy);
  // Finds out the tier and starts the launcher. Errors: those of check(), kIo.
  static Result<Sandbox> open(SandboxPolicy policy);
  // The same with a means chosen: fails, and says why, where this machine has not got it.
  static Result<Sandbox> open_with(SandboxPolicy policy, SandboxMeans means);
  Sandbox(Sandbox&&) noexcept = default;
  Sandbox& operator=(Sandbox&&) = delete;

  const SandboxPolicy& policy() const { return policy_; }
  const SandboxSupport& support() const { return support_; }
  // Whether a command may do what the policy allows without anybody having been asked. Where not, and there
  // is a tier, commands that are read_only still may.
  bool runs_unasked() const;

  // May be called from several threads. kInvalidArgument for a command that needs an agreement and has none.
  Result<SandboxProcess> start(const SandboxCommand& command);
  // Starts, passes on the output, and waits for the end.
  Result<SandboxEnd> run(const SandboxCommand& command, const SandboxRunOptions& options = {});

 private:
  Sandbox(SandboxPolicy policy, SandboxSupport support)
      : policy_(std::move(policy)), support_(std::move(support)) {}
  static Result<Sandbox> prepare(SandboxPolicy policy);
  Status check_policy();
  Status check_writable(const std::filesystem::path& folder) const;
  Status find_paths();
  Status start_host();
  std::vector<std::string> environment_for(SandboxMeans means) const;
  Result<LaunchSpec> spec_for(const SandboxCommand& command) const;
  Result<SandboxProcess> launch(const LaunchSpec& spec, const std::string& input, bool converse = false);
  Status probe(SandboxMeans means);
  void find_support();

  SandboxPolicy policy_;
  SandboxSupport support_;
  std::vector<std::string> hidden_, protected_;  // computed from the policy
  std::vector<std::string> environment_;
  // The launcher. It ends when its socket closes, and is waited for then.
  struct Host {
    Host(pid_t process, Descriptor channel) : pid(process), socket(std::move(channel)) {}
    Host(Host&& other) noexcept : pid(std::exchange(other.pid, -1)), socket(std::move(other.socket)) {}
    Host& operator=(Host&& other) noexcept {
      std::swap(pid, other.pid);
      socket = std::move(other.socket);
      return *this;
    }
    ~Host();
    pid_t pid;
    Descriptor socket;
  };
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // guards host_
  std::optional<Host> host_;
};

// The tier of this machine for a workspace policy in `folder`, for `doctor`.
SandboxSupport sandbox_support(const std::filesystem::path& folder);

}  // namespace atelier::agent
