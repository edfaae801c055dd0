// The escape corpus: what a confined command must not be able to do, each tried for real.
//
// An attempt is a command line, and a witness that looks from outside whether it worked: at files, at
// sockets, at processes, never at an exit status. It runs twice in a world of its own making: plainly, where
// it has to work (or it would prove nothing), and in the sandbox, where it must not.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "agent/sandbox/sandbox.h"
#include "base/descriptor.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {

// A process of the same user, outside: something to attack.
class Victim {
 public:
  Victim();
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim();
  pid_t pid() const { return pid_; }
  const std::string& address() const { return address_; }  // of a text in its memory, in hexadecimal
  // Whether it still answers; one that is stopped does not.
  bool is_alive();
  // Whether nothing that an attempt changes has been changed.
  bool is_unharmed();
  bool is_stopped() const { return status("State:").find("T (") != std::string::npos; }
  std::string memory();                               // that text
  std::string status(const std::string& name) const;  // a line of /proc/PID/status
  int niceness() const;

 private:
  pid_t pid_ = -1;
  Descriptor answers_;
  std::string address_;
  bool reaped_ = false;
};

// Folders, sockets and processes around a sandbox.
class World {
 public:
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::filesystem::path work() const { return root_ / "work"; }
  std::filesystem::path outside() const { return root_ / "outside"; }
  std::filesystem::path home() const { return root_ / "home"; }
  std::filesystem::path hidden() const { return root_ / "hidden"; }
  std::filesystem::path extra() const { return root_ / "extra"; }
  SandboxPolicy policy(SandboxMode mode) const;

  // Everything as it was in the beginning.
  void reset();
  // `line` with @W, @O, @H, @X (this program's actions), @PID and the like replaced.
  std::string expanded(std::string line) const;

  std::string read(const std::filesystem::path& path) const;
  static bool exists(const std::filesystem::path& path);
  std::string loot() const { return read(work() / "loot"); }
  Victim& victim() { return *victim_; }

  // What has arrived at any of the sockets, FIFOs, queues and shared memories outside.
  std::string received();

 private:
  void make_files() const;
  void open_services();
  int bind_unix(const std::filesystem::path& path, int type);

  std::filesystem::path root_;
  std::string home_trace_;
  std::unique_ptr<Victim> victim_;
  struct Listener {
    Descriptor fd;
    bool stream;  // has to be accepted from
  };
  std::vector<Listener> listeners_;
  Descriptor fifo_, inherited_;
  int queue_ = -1, memory_ = -1;
  char* shared_ = nullptr;
  std::string received_;
  std::map<std::string, std::string> names_;  // what is replaced in lines
};

struct AttemptDetails {
  SandboxMode mode = SandboxMode::kWorkspace;
  // The machine may not allow it even outside (a kernel without it): said loudly, not taken for a success.
  bool may_lack = false;
  // Not stopped by tier B, and said so in its banner and in docs/sandbox.md.
  bool open_in_b = false;
  std::vector<std::pair<std::string, std::string>> environment{};
  std::function<void(World&, const std::stop_token&)> meanwhile{};  // from outside, while it runs
};

struct Attempt {
  const char* name;
  std::string line;
  std::function<bool(World&)> worked;
  AttemptDetails details{};
};

struct Category {
  const char* name;
  size_t expected;
  std::vector<Attempt> attempts;
};
Category write_attempts();
Category protected_attempts();
Category secret_attempts();
Category network_attempts();
Category process_attempts();
Category privilege_attempts();
Category environment_attempts();

// An attempt's action, when this program was started as one: test_agent --escape NAME ARGUMENTS.
std::optional<int> run_escape_action(int argc, char** argv);

}  // namespace atelier::agent
