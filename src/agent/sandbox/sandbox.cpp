#include "agent/sandbox/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "agent/sandbox/git_folders.h"
#include "agent/sandbox/launcher.h"
#include "agent/sandbox/os_error.h"
#include "agent/workspace/paths.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

Status make_pipe(Descriptor& read_end, Descriptor& write_end) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return broken("pipe");
  read_end = Descriptor(ends[0]);
  write_end = Descriptor(ends[1]);
  return {};
}

// Standard input: a memory file, so that nobody has to feed it.
Result<Descriptor> input_file(const std::string& text) {
  if (text.empty()) {
    Descriptor fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return broken("/dev/null");
    return fd;
  }
  Descriptor fd(::memfd_create("atelier-input", MFD_CLOEXEC));
  if (fd.get() < 0) return broken("memfd_create");
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return broken("write");
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return broken("seek");
  return fd;
}

Result<std::filesystem::path> canonical_folder(const std::filesystem::path& path) {
  std::error_code code;
  const std::filesystem::path canonical = std::filesystem::canonical(path, code);
  if (code) return tl::unexpected<Error>(errno_error(path, code.value()));
  if (!std::filesystem::is_directory(canonical, code))
    return fail(ErrorCode::kInvalidArgument, "{}: expected a folder, found a file", path.string());
  return canonical;
}

std::vector<std::string> strings(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> all;
  for (const std::filesystem::path& path : paths) all.push_back(path.string());
  return all;
}

Status check_no_link(const std::string& path) {
  if (struct stat info{}; ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode))
    return fail(ErrorCode::kInvalidArgument,
                "{}: is a symbolic link, which cannot be protected from commands; use the read-only sandbox",
                path);
  return {};
}

std::vector<std::string> current_environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

}  // namespace

Status Sandbox::check_policy() {
  ATELIER_TRY(policy_.workspace, canonical_folder(policy_.workspace));
  if (policy_.home.empty())
    if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') policy_.home = home;
  std::error_code code;
  if (const std::filesystem::path home = std::filesystem::canonical(policy_.home, code); !code)
    policy_.home = home;
  for (auto* list : {&policy_.writable, &policy_.readable, &policy_.hidden})
    for (std::filesystem::path& path : *list) {
      const std::filesystem::path canonical = std::filesystem::canonical(path, code);
      if (code) return tl::unexpected<Error>(errno_error(path, code.value()));
      path = canonical;
    }
  if (policy_.mode == SandboxMode::kFull) return {};
  if (policy_.mode == SandboxMode::kWorkspace) ATELIER_CHECK_OK(check_writable(policy_.workspace));
  for (const std::filesystem::path& folder : policy_.writable) ATELIER_CHECK_OK(check_writable(folder));
  return {};
}

Status Sandbox::check_writable(const std::filesystem::path& folder) const {
  // Startup files of shells and desktops would become a way out.
  if (folder == folder.root_path() ||
      (!policy_.home.empty() && lies_in(policy_.home.native(), folder.native())))
    return fail(
        ErrorCode::kInvalidArgument,
        "{}: holds the home folder, whose startup files every program obeys; expected a folder below it, "
        "or the read-only sandbox",
        folder.string());
  for (const std::string& name : protected_names()) ATELIER_CHECK_OK(check_no_link((folder / name).string()));
  return {};
}

Status Sandbox::find_paths() {
  if (!policy_.scratch.empty()) {
    ATELIER_TRY(policy_.scratch, canonical_folder(policy_.scratch));
  }
  if (policy_.mode == SandboxMode::kFull) return {};
  hidden_ = secret_paths(policy_.home);
  for (const std::filesystem::path& path : policy_.hidden) hidden_.push_back(path.string());
  std::vector<std::filesystem::path> writable = policy_.writable;
  if (policy_.mode == SandboxMode::kWorkspace) writable.push_back(policy_.workspace);
  for (const std::filesystem::path& folder : writable) {
    for (const std::string& name : protected_names()) protected_.push_back((folder / name).string());
    for (std::string& path : git_folders(folder, writable)) protected_.push_back(std::move(path));
  }
  for (const std::string& path : protected_) ATELIER_CHECK_OK(check_no_link(path));
  return {};
}

Sandbox::Host::~Host() {
  if (pid < 0) return;
  socket = Descriptor();
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// The launcher gets no environment, no signal settings and no descriptors of ours but its socket.
Status Sandbox::start_host() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return broken("socketpair");
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  constexpr int kSocket = 3;
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 0, 1);
  posix_spawn_file_actions_adddup2(&files, 0, 2);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), kSocket);
  posix_spawn_file_actions_addclosefrom_np(&files, kSocket + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const std::string socket = std::to_string(kSocket);
  const std::array<char*, 3> argv = {const_cast<char*>(kSandboxHostName), const_cast<char*>(socket.c_str()),
                                     nullptr};
  const std::array<char*, 1> environment = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/proc/self/exe", &files, &attributes, argv.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return broken("start the launcher", error);
  host_.reset();
  host_.emplace(pid, std::move(ours));
  return {};
}

// Without mounts the temporary folder has the name it has outside.
std::vector<std::string> Sandbox::environment_for(SandboxMeans means) const {
  const bool mounted = means == SandboxMeans::kNamespaces || means == SandboxMeans::kBubblewrap;
  if (mounted || policy_.scratch.empty()) return environment_;
  std::vector<std::string> environment = environment_;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kMoved = {
      {{"TMPDIR=/tmp", ""}, {"TMP=/tmp", ""}, {"TEMP=/tmp", ""}, {"XDG_CACHE_HOME=/tmp/.cache", "/.cache"}}};
  for (std::string& entry : environment)
    for (const auto& [standard, below] : kMoved)
      if (entry == standard)
        entry = entry.substr(0, entry.find('=') + 1) + policy_.scratch.string() + std::string(below);
  return environment;
}

Result<LaunchSpec> Sandbox::spec_for(const SandboxCommand& command) const {
  LaunchSpec spec;
  spec.means = policy_.mode == SandboxMode::kFull ? SandboxMeans::kNone : support_.means;
  spec.network = policy_.network || command.network;
  spec.local_sockets = policy_.local_sockets;
  spec.argv = command.argv;
  spec.environment = environment_for(spec.means);
  for (const auto& [name, value] : command.environment) {
    std::erase_if(spec.environment, [&](const std::string& entry) { return entry.starts_with(name + "="); });
    spec.environment.push_back(fmt::format("{}={}", name, value));
  }
  spec.folder = command.folder.empty() ? policy_.workspace.string() : command.folder;
  spec.hidden = hidden_;
  spec.readable = strings(policy_.readable);
  // Which name servers to ask often stands below /run, which is hidden.
  std::error_code code;
  if (const std::filesystem::path resolver = std::filesystem::canonical("/etc/resolv.conf", code);
      spec.network && !code)
    spec.readable.push_back(resolver.string());
  spec.readable.push_back(policy_.workspace.string());
  if (!command.read_only) {
    spec.writable = strings(policy_.writable);
    if (policy_.mode == SandboxMode::kWorkspace) spec.writable.push_back(policy_.workspace.string());
    spec.protected_paths = protected_;
  } else {
    for (const std::filesystem::path& path : policy_.writable) spec.readable.push_back(path.string());
  }
  spec.scratch = policy_.scratch.string();
  spec.temporary_bytes = policy_.temporary_bytes;
  spec.max_processes = policy_.max_processes;
  return spec;
}

Result<SandboxProcess> Sandbox::launch(const LaunchSpec& spec, const std::string& input, bool converse) {
  SandboxProcess process;
  LaunchFds fds;
  const auto theirs = [&fds](LaunchFd which) -> Descriptor& { return fds[static_cast<size_t>(which)]; };
  ATELIER_TRY(theirs(LaunchFd::kSpec), spec_file(spec));
  ATELIER_CHECK_OK(make_pipe(process.output_, theirs(LaunchFd::kOutput)));
  ATELIER_CHECK_OK(make_pipe(process.report_, theirs(LaunchFd::kReport)));
  ATELIER_CHECK_OK(make_pipe(theirs(LaunchFd::kLife), process.life_));
  if (converse) {
    ATELIER_CHECK_OK(make_pipe(theirs(LaunchFd::kInput), process.input_));
    ATELIER_CHECK_OK(make_pipe(process.errors_, theirs(LaunchFd::kErrors)));
    for (const Descriptor* ours : {&process.input_, &process.errors_})
      if (::fcntl(ours->get(), F_SETFL, O_NONBLOCK) != 0) return broken("fcntl");
  } else {
    ATELIER_TRY(theirs(LaunchFd::kInput), input_file(input));
    theirs(LaunchFd::kErrors) = Descriptor(::fcntl(fd_of(fds, LaunchFd::kOutput), F_DUPFD_CLOEXEC, 0));
    if (fd_of(fds, LaunchFd::kErrors) < 0) return broken("dup");
  }
  const std::lock_guard lock(*mutex_);
  if (!send_launch(host_->socket.get(), fds)) {  // it may have been killed: a new one can do the same
    ATELIER_CHECK_OK(start_host());
    ATELIER_CHECK_OK(send_launch(host_->socket.get(), fds));
  }
  return process;
}

Status Sandbox::probe(SandboxMeans means) {
  ATELIER_TRY(LaunchSpec spec, spec_for({}));
  spec.means = means;
  spec.protected_paths.clear();  // nothing is made in the workspace just to see
  ATELIER_TRY(SandboxProcess process, launch(spec, {}));
  std::string output;
  for (;;) {
    ATELIER_TRY(const bool more, process.read(std::chrono::seconds(10), output));
    if (!more) break;
  }
  return process.end().map([](const SandboxEnd&) {});
}

Result<SandboxProcess> Sandbox::start(const SandboxCommand& command) {
  if (command.argv.empty() || command.argv[0].empty())
    return fail(ErrorCode::kInvalidArgument, "expected a command, found none");
  if (!command.agreed && command.network && !policy_.network)
    return fail(ErrorCode::kInvalidArgument, "sandbox: the network is not granted, and nobody agreed to it");
  if (!command.agreed && !runs_unasked() && !(command.read_only && support_.means != SandboxMeans::kNone))
    return fail(ErrorCode::kInvalidArgument, "{}, and nobody agreed to it", sandbox_banner(support_.tier));
  ATELIER_TRY(const LaunchSpec spec, spec_for(command));
  return launch(spec, command.input, command.converse);
}

Result<SandboxEnd> Sandbox::run(const SandboxCommand& command, const SandboxRunOptions& options) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kStep = std::chrono::milliseconds(20);
  const Clock::time_point deadline = Clock::now() + options.timeout;
  ATELIER_TRY(SandboxProcess process, start(command));
  std::string output;
  for (;;) {
    ATELIER_TRY(const bool more, process.read(kStep, output));
    if (options.on_output && !output.empty()) options.on_output(output);
    output.clear();
    if (!more) return process.end();
    const bool cancelled = options.cancelled && options.cancelled();
    if (!cancelled && Clock::now() < deadline) continue;
    process.stop();
    while (process.read(std::chrono::milliseconds(0), output).value_or(false)) {
    }
    if (options.on_output && !output.empty()) options.on_output(output);
    return SandboxEnd{cancelled ? SandboxEnd::How::kCancelled : SandboxEnd::How::kTimedOut, 0};
  }
}

Status Sandbox::check(SandboxPolicy policy) { return Sandbox(std::move(policy), {}).check_policy(); }

Result<Sandbox> Sandbox::prepare(SandboxPolicy policy) {
  Sandbox sandbox(std::move(policy), {});
  ATELIER_CHECK_OK(sandbox.check_policy());
  ATELIER_CHECK_OK(sandbox.find_paths());
  std::vector<std::string> names = sandbox.policy_.environment;
  const std::vector<std::string> current = current_environment();
  if (sandbox.policy_.mode == SandboxMode::kFull)  // all of it, as it stands
    for (const std::string& entry : current) names.push_back(entry.substr(0, entry.find('=')));
  sandbox.environment_ = sandbox_environment(current, names);
  ATELIER_CHECK_OK(sandbox.start_host());
  return sandbox;
}

Result<Sandbox> Sandbox::open(SandboxPolicy policy) {
  ATELIER_TRY(Sandbox sandbox, prepare(std::move(policy)));
  sandbox.find_support();
  return sandbox;
}

Result<Sandbox> Sandbox::open_with(SandboxPolicy policy, SandboxMeans means) {
  ATELIER_TRY(Sandbox sandbox, prepare(std::move(policy)));
  ATELIER_CHECK_OK(sandbox.probe(means));
  const bool mounted = means == SandboxMeans::kNamespaces || means == SandboxMeans::kBubblewrap;
  sandbox.support_ = {mounted                            ? SandboxTier::kA
                      : means == SandboxMeans::kLandlock ? SandboxTier::kB
                                                         : SandboxTier::kC,
                      means, "as asked for"};
  return sandbox;
}

}  // namespace atelier::agent
