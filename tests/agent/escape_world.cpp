#include "tests/agent/escape_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace atelier::agent {
namespace {

constexpr size_t kSharedBytes = 64;
constexpr const char* kMemory = "S3CRET-memory";  // what a victim keeps in it

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

// Outside of the folders that a sandbox replaces as a whole, where that is possible: what is merely invisible
// proves less.
std::filesystem::path world_root() {
  const char* home = std::getenv("HOME");
  for (const std::filesystem::path& parent :
       {own_program().parent_path(), std::filesystem::path(home == nullptr ? "" : home),
        std::filesystem::temp_directory_path()}) {
    std::string name = (parent / "esc-XXXXXX").string();
    if (!parent.empty() && ::mkdtemp(name.data()) != nullptr) return std::filesystem::canonical(name);
  }
  std::abort();
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// Port of a bound socket.
int port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) std::abort();
  return ntohs(address.sin_port);
}

Descriptor bind_internet(int type) {
  Descriptor fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  if (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0) std::abort();
  return fd;
}

Descriptor bind_abstract(int type, const std::string& name) {
  Descriptor fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  if (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0) std::abort();
  return fd;
}

}  // namespace

Victim::Victim() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
  answers_ = Descriptor(ends[0]);
  Descriptor write_end(ends[1]);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, write_end.get(), STDOUT_FILENO);
  const std::string program = own_program().string();
  const char* argv[] = {program.c_str(), "--escape", "victim", "S3CRET-argument", nullptr};
  std::vector<const char*> environment = {"VICTIM=S3CRET-environment", nullptr};
  if (posix_spawn(&pid_, program.c_str(), &files, nullptr, const_cast<char* const*>(argv),
                  const_cast<char* const*>(environment.data())) != 0)
    std::abort();
  posix_spawn_file_actions_destroy(&files);
  write_end = Descriptor();
  char c = 0;
  while (::read(answers_.get(), &c, 1) == 1 && c != '\n') address_ += c;
}

Victim::~Victim() {
  ::kill(pid_, SIGKILL);
  if (!reaped_) ::waitpid(pid_, nullptr, 0);
}

// Asks it: a signal that was sent before is delivered before the answer, so this does not race with it.
bool Victim::is_alive() {
  if (reaped_) return false;
  constexpr int kPatienceMs = 10'000;
  ::kill(pid_, SIGUSR1);
  pollfd answer{.fd = answers_.get(), .events = POLLIN, .revents = 0};
  char c = 0;
  if (::poll(&answer, 1, kPatienceMs) == 1 && ::read(answers_.get(), &c, 1) == 1) return true;
  reaped_ = ::waitpid(pid_, nullptr, 0) == pid_;
  return false;
}

std::string Victim::memory() {
  std::array<char, 32> text{};
  iovec here{text.data(), text.size() - 1};
  iovec there{reinterpret_cast<void*>(std::stoull(address_, nullptr, 16)), text.size() - 1};
  if (::process_vm_readv(pid_, &here, 1, &there, 1, 0) < 0) return {};
  return text.data();
}

std::string Victim::status(const std::string& name) const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return line;
  return {};
}

bool Victim::is_unharmed() {
  constexpr int kProcess = 1;  // IOPRIO_WHO_PROCESS
  rlimit theirs{}, ours{};
  ::prlimit(pid_, RLIMIT_NOFILE, nullptr, &theirs);
  ::getrlimit(RLIMIT_NOFILE, &ours);
  return memory() == kMemory && niceness() == ::getpriority(PRIO_PROCESS, 0) &&
         theirs.rlim_cur == ours.rlim_cur &&
         ::syscall(SYS_ioprio_get, kProcess, pid_) == ::syscall(SYS_ioprio_get, kProcess, 0);
}

int Victim::niceness() const { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid_)); }

World::World() : root_(world_root()) {
  make_files();
  open_services();
  reset();
}

World::~World() {
  if (queue_ >= 0) ::msgctl(queue_, IPC_RMID, nullptr);
  if (shared_ != nullptr) ::shmdt(shared_);
  if (memory_ >= 0) ::shmctl(memory_, IPC_RMID, nullptr);
  std::error_code ignored;
  for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm"})
    std::filesystem::remove(std::filesystem::path(folder) / root_.filename(), ignored);
  std::filesystem::remove_all(root_, ignored);
}

SandboxPolicy World::policy(SandboxMode mode) const {
  SandboxPolicy policy{.mode = mode, .workspace = work(), .home = home(), .writable = {extra()}};
  policy.readable = {own_program().parent_path()};
  policy.hidden = {hidden()};
  // World and program share a folder, which is shown again: only what is in the world is hidden.
  if (policy.readable[0] == root_.parent_path()) policy.readable.clear();
  return policy;
}

void World::make_files() const {
  for (const char* secret :
       {".ssh/id_ed25519", ".gnupg/private-keys-v1.d/k", ".aws/credentials", ".netrc", ".git-credentials",
        ".config/gh/hosts.yml", ".docker/config.json", ".kube/config", ".npmrc", ".bash_history",
        ".config/gcloud/credentials.db", ".mozilla/cookies.sqlite", ".local/share/keyrings/login.keyring",
        ".config/atelier/keys", ".local/state/atelier/sessions", ".pypirc"})
    write_file(home() / secret, std::string("S3CRET ") + secret + "\n");
  write_file(home() / ".ssh/S3CRET-name", "");
  write_file(home() / ".bashrc", "# harmless\n");
  write_file(hidden() / "key", "S3CRET hidden\n");
  write_file(outside() / "o.txt", "original\n");
  write_file(outside() / "d/f", "original\n");
  std::filesystem::create_directories(outside() / "empty");
  write_file(work() / "w.txt", "work\n");
  write_file(work() / "evil", "evil\n");
  write_file(work() / "ready", "");
  write_file(work() / "late", "");
  write_file(work() / "evil.json", "evil\n");
  write_file(work() / "evil.sh", "echo > '" + (work() / "started").string() + "'\n");
  write_file(work() / "evil.pm", "open(F, '>perled'); 1;\n");
  write_file(work() / "helper", "#!/bin/bash\necho > helped\n");
  ::chmod((work() / "helper").c_str(), 0755);
  for (const std::filesystem::path& git :
       {work() / ".git", work() / "sub/.git", work() / "store/lib", extra() / ".git"}) {
    write_file(git / "HEAD", "ref: refs/heads/main\n");
    write_file(git / "config", "[core]\n\trepositoryformatversion = 0\n");
    write_file(git / "index", "index\n");
    write_file(git / "hooks/sample", "#!/bin/sh\n");
    write_file(git / "info/exclude", "");
    std::filesystem::create_directories(git / "objects");
    write_file(git / "refs/heads/main", "0123\n");
  }
  write_file(work() / "lib/.git", "gitdir: ../store/lib\n");
  write_file(work() / ".vscode/tasks.json", "{}\n");
  ::mkfifo((work() / "go").c_str(), 0600);
}

void World::reset() {
  std::error_code ignored;
  // Sockets and FIFOs in use stay: they are bound to what has their name.
  for (const std::filesystem::path& folder : {work(), outside(), home(), hidden(), extra()}) {
    std::vector<std::filesystem::path> old;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
      if (const std::string name = entry.path().filename();
          !name.ends_with(".sock") && name != "fifo" && name != "go")
        old.push_back(entry.path());
    for (const std::filesystem::path& path : old) {
      ::chmod(path.c_str(), 0700);
      std::filesystem::remove_all(path, ignored);
    }
  }
  for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm"})
    std::filesystem::remove(std::filesystem::path(folder) / root_.filename(), ignored);
  make_files();
  if (!victim_ || victim_->is_stopped() || !victim_->is_alive() || !victim_->is_unharmed())
    victim_ = std::make_unique<Victim>();
  names_["@PID"] = std::to_string(victim_->pid());
  names_["@ADDR"] = victim_->address();
  (void)received();
  received_.clear();
  if (shared_ != nullptr) std::memset(shared_, 0, kSharedBytes);
}

int World::bind_unix(const std::filesystem::path& path, int type) {
  const Descriptor folder(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Descriptor fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A name of its own length, whatever the path's.
  const std::string name = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + path.filename().string();
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  if (type != SOCK_DGRAM && ::listen(fd.get(), 64) != 0) std::abort();
  listeners_.push_back({std::move(fd), type != SOCK_DGRAM});
  return listeners_.back().fd.get();
}

void World::open_services() {
  listeners_.push_back({bind_internet(SOCK_STREAM), true});
  names_["@TCP"] = std::to_string(port_of(listeners_.back().fd.get()));
  listeners_.push_back({bind_internet(SOCK_DGRAM), false});
  names_["@UDP"] = std::to_string(port_of(listeners_.back().fd.get()));
  names_["@FREE"] = std::to_string(port_of(bind_internet(SOCK_STREAM).get()));  // closed again: nobody's
  bind_unix(outside() / "stream.sock", SOCK_STREAM);
  bind_unix(outside() / "datagram.sock", SOCK_DGRAM);
  bind_unix(outside() / "packet.sock", SOCK_SEQPACKET);
  bind_unix(work() / "dev.sock", SOCK_STREAM);
  const std::string abstract = root_.filename().string();
  listeners_.push_back({bind_abstract(SOCK_STREAM, abstract + "-stream"), true});
  listeners_.push_back({bind_abstract(SOCK_DGRAM, abstract + "-datagram"), false});
  ::mkfifo((outside() / "fifo").c_str(), 0600);
  // Both ends, so that it stays open; FIFOs survive reset().
  fifo_ = Descriptor(::open((outside() / "fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  queue_ = ::msgget(IPC_PRIVATE, 0600);
  memory_ = ::shmget(IPC_PRIVATE, kSharedBytes, 0600);
  if (queue_ < 0 || memory_ < 0) std::abort();
  shared_ = static_cast<char*>(::shmat(memory_, nullptr, 0));
  // Left open on purpose, as careless programs do.
  inherited_ = Descriptor(::open((hidden() / "key").c_str(), O_RDONLY));
  names_["@W"] = work().string();
  names_["@O"] = outside().string();
  names_["@H"] = home().string();
  names_["@K"] = hidden().string();
  names_["@E"] = extra().string();
  names_["@R"] = root_.filename().string();
  names_["@X"] = own_program().string() + " --escape";
  names_["@Q"] = std::to_string(queue_);
  names_["@M"] = std::to_string(memory_);
  names_["@FD"] = std::to_string(inherited_.get());
}

std::string World::expanded(std::string line) const {
  // Longer names first: @PID is not @P followed by text.
  std::vector<std::pair<std::string, std::string>> names(names_.begin(), names_.end());
  std::ranges::sort(names, [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  for (const auto& [name, value] : names)
    for (size_t at = line.find(name); at != std::string::npos; at = line.find(name, at + value.size()))
      line.replace(at, name.size(), value);
  return line;
}

std::string World::read(const std::filesystem::path& path) const {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool World::exists(const std::filesystem::path& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string World::received() {
  std::array<char, 4096> chunk;
  const auto take = [&](int fd) {
    for (ssize_t n = 0; (n = ::read(fd, chunk.data(), chunk.size())) > 0;)
      received_.append(chunk.data(), static_cast<size_t>(n));
  };
  for (const Listener& listener : listeners_) {
    if (!listener.stream) {
      take(listener.fd.get());
      continue;
    }
    // The command is over: whatever it sent lies in the socket.
    for (int fd = -1; (fd = ::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK)) >= 0;)
      take(Descriptor(fd).get());
  }
  take(fifo_.get());
  struct {
    long type;
    char text[64];
  } message{};
  for (ssize_t n = 0; (n = ::msgrcv(queue_, &message, sizeof message.text, 0, IPC_NOWAIT)) >= 0;)
    received_.append(message.text, static_cast<size_t>(n));
  received_ += shared_;
  return received_;
}

}  // namespace atelier::agent
