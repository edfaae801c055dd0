// How the agent's tools start programs: one function, whatever confines what it starts.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/sandbox/sandbox.h"
#include "base/result.h"

namespace atelier::agent {

struct Command {
  std::vector<std::string> argv{};  // argv[0] is looked up in PATH
  std::string folder{};             // to run in, as from Workspace::relative_folder
  std::chrono::milliseconds timeout{120'000};
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(std::string_view)> on_output{};  // standard output and error as they come, mixed
  bool agreed = false;                                // somebody agreed to this very command
  bool network = false;                               // it wants the network of the machine
  bool trial = false;   // only what needs no agreement: see CommandRunner::can_try
  std::string input{};  // standard input
  bool talk = false;    // of start(): standard input is written to instead, standard error is kept apart
  std::vector<std::pair<std::string, std::string>> environment{};  // besides what commands see anyway
};

struct CommandOutcome {
  enum class End : uint8_t { kExited, kTimedOut, kCancelled };
  End end = End::kExited;
  int exit_code = 0;  // as a shell says it: 128 + n for signal n
};

class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  // Why somebody has to agree before this command runs; empty: nobody has to.
  virtual std::string asks(const Command& command) = 0;
  // Whether a command that asks() can be tried first in a way that changes nothing.
  virtual bool can_try(const Command& command) = 0;
  // Runs it to its end, and ends everything it left running. Errors: what could not be started, and why.
  virtual Result<CommandOutcome> run(const Command& command) = 0;
  // Starts a program that outlives this call and is talked to. `timeout`, `cancel` and `on_output` are the
  // caller's to heed.
  virtual Result<SandboxProcess> start(const Command& command) = 0;
  // For people: "workspace, no network, tier A".
  virtual std::string description() = 0;
  // What is not protected and should be; empty where nothing is missing.
  virtual std::string banner() = 0;
};

}  // namespace atelier::agent
