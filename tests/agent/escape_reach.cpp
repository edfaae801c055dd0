// Attempts at what is not a file: the network, other processes, privileges, what is inherited.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "tests/agent/escape_world.h"

namespace atelier::agent {
namespace {

using Seen = std::function<bool(World&)>;
using Meanwhile = std::function<void(World&, const std::stop_token&)>;

Seen arrives() {
  return [](World& world) { return world.received().find("escaped") != std::string::npos; };
}
Seen told(const std::string& text) {
  return [text](World& world) { return world.loot().find(text) != std::string::npos; };
}
Seen has_suid(const std::string& name, mode_t bits) {
  return [=](World& world) {
    struct stat info{};
    return ::lstat((world.work() / name).c_str(), &info) == 0 && (info.st_mode & bits) != 0;
  };
}
Seen made(const std::string& name) {
  return [name](World& world) {
    for (const auto& entry : std::filesystem::directory_iterator(world.work()))
      if (entry.path().filename().string().starts_with(name)) return true;
    return false;
  };
}

// From outside, again and again until the attempt is over: somebody knocks.
Meanwhile knocks(const std::string& port_name, int type) {
  return [=](World& world, const std::stop_token& stop) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(world.expanded(port_name))));
    while (!stop.stop_requested()) {
      const Descriptor fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
      (void)::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
      if (type == SOCK_DGRAM) (void)!::write(fd.get(), "knock", 5);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  };
}
Meanwhile knocks_at_socket(const std::string& name) {
  return [=](World& world, const std::stop_token& stop) {
    const Descriptor folder(::open(world.work().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + name;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    while (!stop.stop_requested()) {
      const Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      (void)::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  };
}

// A process that was left behind waits at the FIFO "go" for a word, and answers in the file "late".
Seen still_there() {
  return [](World& world) {
    const Descriptor go(::open((world.work() / "go").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (go.get() < 0 || ::write(go.get(), "go\n", 3) != 3) return false;  // nobody listens
    for (int i = 0; i < 400 && world.read(world.work() / "late").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return !world.read(world.work() / "late").empty();
  };
}
constexpr const char* kWaiter = "'exec 3<>go; echo > ready; read -r word <&3; echo > late'";

std::string leave_behind(const std::string& how) {
  return how + " bash -c " + kWaiter + " > /dev/null 2>&1 & while [ ! -s ready ]; do sleep 0.01; done";
}

Seen killed() {
  return [](World& world) { return !world.victim().is_alive(); };
}

}  // namespace

Category network_attempts() {
  return {"network",
          24,
          {
              {"tcp by the shell", "echo escaped > /dev/tcp/127.0.0.1/@TCP", arrives()},
              {"udp by the shell", "echo escaped > /dev/udp/127.0.0.1/@UDP", arrives()},
              {"tcp", "@X tcp @TCP plain escaped", arrives()},
              {"tcp, not waiting", "@X tcp @TCP nonblocking escaped", arrives()},
              {"tcp from a chosen address", "@X tcp @TCP bound escaped", arrives()},
              {"tcp by the other family", "@X tcp6 @TCP escaped", arrives(), {.may_lack = true}},
              {"tcp in another process's network", "@X join /proc/@PID/ns/net @TCP plain escaped", arrives()},
              {"udp", "@X udp @UDP plain escaped", arrives()},
              {"udp, several at once", "@X udp @UDP many escaped", arrives()},
              {"udp, connected", "@X udp @UDP connected escaped", arrives()},
              {"listening, tcp",
               "@X listen_tcp @FREE @W/loot",
               told("reached"),
               {.meanwhile = knocks("@FREE", SOCK_STREAM)}},
              {"listening, udp",
               "@X listen_udp @FREE @W/loot",
               told("reached"),
               {.meanwhile = knocks("@FREE", SOCK_DGRAM)}},
              {"unix stream", "@X unix_send stream @O stream.sock escaped", arrives()},
              {"unix datagram", "@X unix_send datagram @O datagram.sock escaped", arrives()},
              {"unix packets", "@X unix_send packet @O packet.sock escaped", arrives()},
              {"unix in the workspace", "@X unix_send stream @W dev.sock escaped", arrives()},
              {"unix through a link", "ln -s @O/stream.sock l; @X unix_send stream @W l escaped", arrives()},
              {"unix by the process's root", "@X unix_send stream /proc/self/root@O stream.sock escaped",
               arrives()},
              {"unix, abstract stream", "@X abstract_send stream @R-stream escaped", arrives()},
              {"unix, abstract datagram", "@X abstract_send datagram @R-datagram escaped", arrives()},
              {"listening, unix",
               "@X unix_listen @W mine @W/loot",
               told("reached"),
               {.meanwhile = knocks_at_socket("mine")}},
              {"fifo", "echo escaped > @O/fifo", arrives()},
              {"message queue", "@X queue_send @Q escaped", arrives(), {.open_in_b = true}},
              {"shared memory", "@X memory_write @M escaped", arrives(), {.open_in_b = true}},
          }};
}

Category process_attempts() {
  return {"processes",
          16,
          {
              {"kill", "kill -KILL @PID", killed()},
              {"terminate", "kill -TERM @PID", killed()},
              {"kill by handle", "@X signal @PID 9 pidfd", killed()},
              {"kill a thread", "@X signal @PID 9 thread", killed()},
              {"stop", "kill -STOP @PID", [](World& world) { return world.victim().is_stopped(); }},
              {"trace", "@X trace @PID", killed()},
              {"write memory", "@X poke @PID @ADDR escaped",
               [](World& world) { return world.victim().memory() == "escaped"; }},
              {"write memory as a file", "@X poke_file @PID @ADDR escaped",
               [](World& world) { return world.victim().memory() == "escaped"; }},
              {"read memory", "@X peek @PID @ADDR @W/loot", told("S3CRET")},
              {"read the environment", "cat /proc/@PID/environ > loot", told("S3CRET"), {.open_in_b = true}},
              {"read the arguments", "cat /proc/@PID/cmdline > loot", told("S3CRET"), {.open_in_b = true}},
              {"slow down",
               "@X slow_down @PID",
               [](World& world) { return world.victim().niceness() == 19; },
               {.open_in_b = true}},
              {"limit",
               "@X limit_files @PID",
               [](World& world) {
                 rlimit limit{};
                 return ::prlimit(world.victim().pid(), RLIMIT_NOFILE, nullptr, &limit) == 0 &&
                        limit.rlim_cur == 77;
               },
               {.open_in_b = true}},
              {"starve of the disk",
               "@X idle @PID",
               [](World& world) {
                 return ::syscall(SYS_ioprio_get, 1 /* process */, world.victim().pid()) == 3 << 13;
               },
               {.open_in_b = true}},
              {"stay behind in a session of its own", leave_behind("setsid"), still_there()},
              {"stay behind as an orphan", "(" + leave_behind("setsid nohup") + ")", still_there()},
          }};
}

Category privilege_attempts() {
  return {"privileges",
          16,
          {
              {"set-user-ID", "cp /bin/true s; chmod u+s s", has_suid("s", S_ISUID)},
              {"set-group-ID", "cp /bin/true s; chmod g+s s", has_suid("s", S_ISGID)},
              {"set-user-ID by number", "cp /bin/true s; chmod 4755 s", has_suid("s", S_ISUID)},
              {"set-user-ID when opened", "@X make_setuid @W/s open", has_suid("s", S_ISUID)},
              {"set-user-ID node", "@X make_setuid @W/s node", has_suid("s", S_ISUID)},
              {"set-user-ID by descriptor", "@X make_setuid @W/s fd", has_suid("s", S_ISUID)},
              {"leave the user namespace", "@X leave unshare @W/loot", told("left")},
              {"a child in another", "@X leave clone @W/loot", told("left")},
              {"a child in another, newer call", "@X leave clone3 @W/loot", told("left")},
              {"mount", "mkdir m; @X mount @W/m @W/loot", told("mounted")},
              {"kernel keys", "@X key @W/loot", told("S3CRET"), {.may_lack = true}},
              {"kernel keyrings", "@X keyring @W/loot", told("joined"), {.may_lack = true}},
              {"page faults", "@X fault_handler @W/loot", told("userfaultfd"), {.may_lack = true}},
              {"io_uring", "@X ring @W/loot", told("io_uring"), {.may_lack = true}},
              {"executable data", "@X layout @W/loot", told("changed")},
              {"files by handle", "@X handle @O/o.txt @W/loot", told("handle"), {.may_lack = true}},
          }};
}

Category environment_attempts() {
  return {
      "environment and loader",
      8,
      {
          {"secrets", "env > loot", told("S3CRET"), {.environment = {{"SERVICE_TOKEN", "S3CRET"}}}},
          {"secrets of others",
           "cat /proc/[0-9]*/environ > loot",
           told("SERVICE_TOKEN=S3CRET"),
           {.open_in_b = true, .environment = {{"SERVICE_TOKEN", "S3CRET"}}}},
          {"shell startup", "true", made("started"), {.environment = {{"BASH_ENV", "@W/evil.sh"}}}},
          {"loader",
           "/bin/true",
           made("loader"),
           {.environment = {{"LD_DEBUG", "libs"}, {"LD_DEBUG_OUTPUT", "@W/loader"}}}},
          {"perl",
           "perl -e 1",
           made("perled"),
           {.environment = {{"PERL5LIB", "@W"}, {"PERL5OPT", "-Mevil"}}}},
          {"git", "git version > /dev/null", made("traced"), {.environment = {{"GIT_TRACE", "@W/traced"}}}},
          {"programs of the current folder",
           "helper",
           made("helped"),
           {.environment = {{"PATH", ".:/usr/local/bin:/usr/bin:/bin"}}}},
          {"open descriptors", "cat /proc/self/fd/@FD > loot", told("S3CRET")},
      }};
}

}  // namespace atelier::agent
