// Attempts that need more than a shell: one system call or a few, as attackers make them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "tests/agent/escape_world.h"

namespace atelier::agent {
namespace {

using Arguments = std::vector<std::string>;

int number(const std::string& text) { return std::atoi(text.c_str()); }

void append(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }

void write_to(int fd, const std::string& text) {
  if (fd >= 0) (void)!::write(fd, text.data(), text.size());
}

sockaddr_in loopback(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(number(port)));
  return address;
}
template <class Address>
const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// --- network

void tcp(const Arguments& a) {  // PORT HOW TEXT
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in source = loopback("0");
  if (a[1] == "bound" && ::bind(fd, generic(source), sizeof source) != 0) return;
  if (a[1] == "nonblocking") ::fcntl(fd, F_SETFL, O_NONBLOCK);
  const sockaddr_in address = loopback(a[0]);
  const int connected = ::connect(fd, generic(address), sizeof address);
  pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
  if (connected != 0 && (errno != EINPROGRESS || ::poll(&ready, 1, 1000) != 1)) return;
  write_to(fd, a[2]);
}

void tcp6(const Arguments& a) {  // PORT TEXT: the other family, the same host
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<uint16_t>(number(a[0])));
  ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
  if (::connect(fd, generic(address), sizeof address) == 0) write_to(fd, a[1]);
}

void udp(const Arguments& a) {  // PORT HOW TEXT
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address = loopback(a[0]);
  iovec data{const_cast<char*>(a[2].data()), a[2].size()};
  mmsghdr message{};
  message.msg_hdr.msg_name = &address;
  message.msg_hdr.msg_namelen = sizeof address;
  message.msg_hdr.msg_iov = &data;
  message.msg_hdr.msg_iovlen = 1;
  if (a[1] == "many") {
    ::sendmmsg(fd, &message, 1, 0);
  } else if (a[1] == "connected") {
    if (::connect(fd, generic(address), sizeof address) == 0) write_to(fd, a[2]);
  } else {
    ::sendto(fd, a[2].data(), a[2].size(), 0, generic(address), sizeof address);
  }
}

// Waits to be reached from outside, and tells.
void listen_tcp(const Arguments& a) {  // PORT LOOT
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(a[0]);
  if (::bind(fd, generic(address), sizeof address) != 0 || ::listen(fd, 1) != 0) return;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 1500) == 1) append(a[1], "reached");
}
void listen_udp(const Arguments& a) {  // PORT LOOT
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in address = loopback(a[0]);
  if (::bind(fd, generic(address), sizeof address) != 0) return;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 1500) == 1) append(a[1], "reached");
}

sockaddr_un unix_address(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
  return address;
}

void unix_send(const Arguments& a) {  // TYPE FOLDER NAME TEXT
  const int type = a[0] == "stream" ? SOCK_STREAM : a[0] == "datagram" ? SOCK_DGRAM : SOCK_SEQPACKET;
  if (::chdir(a[1].c_str()) != 0) return;
  const int fd = ::socket(AF_UNIX, type, 0);
  const sockaddr_un address = unix_address(a[2]);
  if (::connect(fd, generic(address), sizeof address) == 0) write_to(fd, a[3]);
}
void unix_listen(const Arguments& a) {  // FOLDER NAME LOOT
  if (::chdir(a[0].c_str()) != 0) return;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = unix_address(a[1]);
  if (::bind(fd, generic(address), sizeof address) != 0 || ::listen(fd, 1) != 0) return;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 1500) == 1) append(a[2], "reached");
}
void abstract_send(const Arguments& a) {  // TYPE NAME TEXT
  const int fd = ::socket(AF_UNIX, a[0] == "stream" ? SOCK_STREAM : SOCK_DGRAM, 0);
  const sockaddr_un address = unix_address(std::string(1, '\0') + a[1]);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + a[1].size());
  if (::connect(fd, generic(address), size) == 0) write_to(fd, a[2]);
}

void queue_send(const Arguments& a) {  // ID TEXT
  struct {
    long type = 1;
    char text[64] = {};
  } message;
  std::memcpy(message.text, a[1].data(), std::min(a[1].size(), sizeof message.text));
  ::msgsnd(number(a[0]), &message, a[1].size(), IPC_NOWAIT);
}
void memory_write(const Arguments& a) {  // ID TEXT
  void* at = ::shmat(number(a[0]), nullptr, 0);
  if (at != reinterpret_cast<void*>(-1)) std::memcpy(at, a[1].c_str(), a[1].size() + 1);
}

void join(const Arguments& a) {  // /proc/PID/ns/NAME, then another action
  const int fd = ::open(a[0].c_str(), O_RDONLY);
  (void)!::setns(fd, 0);
  tcp({a.begin() + 1, a.end()});
}

// --- files

void temporary_link(const Arguments& a) {  // FOLDER PATH: a file without a name gets one
  const int fd = ::open(a[0].c_str(), O_TMPFILE | O_WRONLY, 0600);
  write_to(fd, "escaped");
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, a[1].c_str(), AT_SYMLINK_FOLLOW);
}
void exchange(const Arguments& a) {  // PATH PATH
  ::renameat2(AT_FDCWD, a[0].c_str(), AT_FDCWD, a[1].c_str(), RENAME_EXCHANGE);
}
void map_and_write(const Arguments& a) {  // PATH TEXT
  const int fd = ::open(a[0].c_str(), O_RDWR);
  void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) std::memcpy(at, a[1].data(), a[1].size());
}
void reopen(const Arguments& a) {  // PATH TEXT: opened to read, then once more to write
  const int fd = ::open(a[0].c_str(), O_RDONLY);
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  write_to(::open(self.c_str(), O_WRONLY | O_TRUNC), a[1]);
}
void from_root(const Arguments& a) {  // PATH TEXT: beneath a handle of the root
  const int root = ::open("/", O_PATH | O_DIRECTORY);
  write_to(::openat(root, a[0].c_str() + 1, O_WRONLY | O_CREAT, 0644), a[1]);
}
void read_from_root(const Arguments& a) {  // PATH LOOT
  const int root = ::open("/", O_PATH | O_DIRECTORY);
  std::array<char, 4096> text{};
  const ssize_t n = ::read(::openat(root, a[0].c_str() + 1, O_RDONLY), text.data(), text.size());
  if (n > 0) append(a[1], std::string(text.data(), static_cast<size_t>(n)));
}
void truncate_file(const Arguments& a) { (void)!::truncate(a[0].c_str(), 0); }

// Whatever comes of the first part, the second is tried.
void unmount_and_write(const Arguments& a) {  // MOUNT PATH
  ::umount2(a[0].c_str(), MNT_DETACH);
  append(a[1], "escaped");
}
void remount_and_write(const Arguments& a) {  // MOUNT PATH
  ::mount(nullptr, a[0].c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr);
  append(a[1], "escaped");
}
void own_namespace_and_write(const Arguments& a) {  // MOUNT PATH
  ::unshare(CLONE_NEWUSER | CLONE_NEWNS);
  unmount_and_write(a);
}

// --- processes

int victim(const Arguments& a) {
  static char secret[32] = "S3CRET-memory";
  (void)a;
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::signal(SIGUSR1, [](int) { (void)!::write(STDOUT_FILENO, "!", 1); });
  std::printf("%p\n", static_cast<void*>(secret));
  std::fflush(stdout);
  for (;;) ::pause();
}
void signal_process(const Arguments& a) {  // PID SIGNAL HOW
  if (a[2] == "pidfd") {
    const long fd = ::syscall(SYS_pidfd_open, number(a[0]), 0);
    ::syscall(SYS_pidfd_send_signal, fd, number(a[1]), nullptr, 0);
  } else if (a[2] == "thread") {
    ::syscall(SYS_tgkill, number(a[0]), number(a[0]), number(a[1]));
  } else {
    ::kill(number(a[0]), number(a[1]));
  }
}
void trace(const Arguments& a) {  // PID: the tracer is seen from outside
  if (::ptrace(PTRACE_SEIZE, number(a[0]), nullptr, nullptr) != 0) return;
  // A change that outlives this process.
  ::ptrace(PTRACE_INTERRUPT, number(a[0]), nullptr, nullptr);
  int status = 0;
  ::waitpid(number(a[0]), &status, __WALL);
  ::kill(number(a[0]), SIGKILL);
}
void poke(const Arguments& a) {  // PID ADDRESS TEXT
  iovec here{const_cast<char*>(a[2].c_str()), a[2].size() + 1};
  iovec there{reinterpret_cast<void*>(std::stoull(a[1], nullptr, 16)), a[2].size() + 1};
  ::process_vm_writev(number(a[0]), &here, 1, &there, 1, 0);
}
void poke_file(const Arguments& a) {  // PID ADDRESS TEXT
  const int fd = ::open(("/proc/" + a[0] + "/mem").c_str(), O_RDWR);
  (void)!::pwrite(fd, a[2].c_str(), a[2].size() + 1, static_cast<off_t>(std::stoull(a[1], nullptr, 16)));
}
void peek(const Arguments& a) {  // PID ADDRESS LOOT
  std::array<char, 14> text{};
  iovec here{text.data(), text.size() - 1};
  iovec there{reinterpret_cast<void*>(std::stoull(a[1], nullptr, 16)), text.size() - 1};
  if (::process_vm_readv(number(a[0]), &here, 1, &there, 1, 0) > 0) append(a[2], text.data());
}
void slow_down(const Arguments& a) { ::setpriority(PRIO_PROCESS, static_cast<id_t>(number(a[0])), 19); }
void limit_files(const Arguments& a) {  // PID
  const rlimit few{77, 77};
  ::prlimit(number(a[0]), RLIMIT_NOFILE, &few, nullptr);
}
void idle(const Arguments& a) { ::syscall(SYS_ioprio_set, 1 /* process */, number(a[0]), 3 << 13); }

// --- privileges

void make_setuid(const Arguments& a) {  // PATH HOW
  if (a[1] == "open") ::open(a[0].c_str(), O_WRONLY | O_CREAT, 04755);
  if (a[1] == "node") ::mknod(a[0].c_str(), S_IFREG | 04755, 0);
  if (a[1] == "fd") ::fchmod(::open(a[0].c_str(), O_WRONLY | O_CREAT, 0755), 04755);
}
std::string namespace_of(const char* which) {
  std::array<char, 64> text{};
  (void)!::readlink((std::string("/proc/self/ns/") + which).c_str(), text.data(), text.size() - 1);
  return text.data();
}
// Tells whether this process has left the namespace it was in.
void leave(const Arguments& a) {  // HOW LOOT
  const std::string before = namespace_of("user");
  if (a[0] == "unshare") {
    ::unshare(CLONE_NEWUSER);
    if (namespace_of("user") != before) append(a[1], "left");
    return;
  }
  struct {
    uint64_t flags = CLONE_NEWUSER, pidfd = 0, child = 0, parent = 0, signal = SIGCHLD, rest[6] = {};
  } arguments;
  const long child = a[0] == "clone3"
                         ? ::syscall(SYS_clone3, &arguments, sizeof arguments)
                         : ::syscall(SYS_clone, static_cast<long>(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0);
  if (child == 0) {
    if (namespace_of("user") != before) append(a[1], "left");
    ::_exit(0);
  }
  if (child > 0) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
}
void mount_something(const Arguments& a) {  // FOLDER LOOT
  ::unshare(CLONE_NEWUSER | CLONE_NEWNS);
  struct stat before{}, after{};
  ::stat(a[0].c_str(), &before);
  ::mount("tmpfs", a[0].c_str(), "tmpfs", 0, nullptr);
  ::stat(a[0].c_str(), &after);
  ::umount(a[0].c_str());
  if (before.st_dev != after.st_dev) append(a[1], "mounted");
}
void key(const Arguments& a) {  // LOOT: what the kernel keeps comes back
  const long id = ::syscall(SYS_add_key, "user", "atelier-escape", "S3CRET", 6, -2 /* process keyring */);
  std::array<char, 16> text{};
  if (id > 0 && ::syscall(SYS_keyctl, 11 /* read */, id, text.data(), text.size()) == 6)
    append(a[0], text.data());
}
void keyring(const Arguments& a) {  // LOOT
  if (::syscall(SYS_keyctl, 1 /* join session keyring */, "atelier-escape") > 0) append(a[0], "joined");
}
std::string link_of(long fd) {
  std::array<char, 64> text{};
  (void)!::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text.data(), text.size() - 1);
  return text.data();
}
void fault_handler(const Arguments& a) {  // LOOT
  constexpr int kUserModeOnly = 1;
  const long fd = ::syscall(SYS_userfaultfd, O_CLOEXEC | kUserModeOnly);
  if (fd >= 0) append(a[0], link_of(fd));
}
void ring(const Arguments& a) {  // LOOT
  io_uring_params parameters{};
  const long fd = ::syscall(425, 4, &parameters);
  if (fd >= 0) append(a[0], link_of(fd));
}
void layout(const Arguments& a) {  // LOOT
  ::personality(ADDR_COMPAT_LAYOUT | READ_IMPLIES_EXEC);
  if ((::personality(0xffffffff) & READ_IMPLIES_EXEC) != 0) append(a[0], "changed");
}
void handle(const Arguments& a) {  // PATH LOOT
  struct {
    file_handle head{};
    char bytes[MAX_HANDLE_SZ] = {};
  } name;
  name.head.handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (::name_to_handle_at(AT_FDCWD, a[0].c_str(), &name.head, &mount, 0) == 0) append(a[1], "handle");
}

struct Action {
  const char* name;
  void (*run)(const Arguments&);
  size_t n_arguments;
};
constexpr Action kActions[] = {{"tcp", tcp, 3},
                               {"tcp6", tcp6, 2},
                               {"udp", udp, 3},
                               {"listen_tcp", listen_tcp, 2},
                               {"listen_udp", listen_udp, 2},
                               {"unix_send", unix_send, 4},
                               {"unix_listen", unix_listen, 3},
                               {"abstract_send", abstract_send, 3},
                               {"queue_send", queue_send, 2},
                               {"memory_write", memory_write, 2},
                               {"join", join, 4},
                               {"temporary_link", temporary_link, 2},
                               {"exchange", exchange, 2},
                               {"map_and_write", map_and_write, 2},
                               {"reopen", reopen, 2},
                               {"from_root", from_root, 2},
                               {"read_from_root", read_from_root, 2},
                               {"truncate", truncate_file, 1},
                               {"unmount_and_write", unmount_and_write, 2},
                               {"remount_and_write", remount_and_write, 2},
                               {"own_namespace_and_write", own_namespace_and_write, 2},
                               {"signal", signal_process, 3},
                               {"trace", trace, 1},
                               {"poke", poke, 3},
                               {"poke_file", poke_file, 3},
                               {"peek", peek, 3},
                               {"slow_down", slow_down, 1},
                               {"limit_files", limit_files, 1},
                               {"idle", idle, 1},
                               {"make_setuid", make_setuid, 2},
                               {"leave", leave, 2},
                               {"mount", mount_something, 2},
                               {"key", key, 1},
                               {"keyring", keyring, 1},
                               {"fault_handler", fault_handler, 1},
                               {"ring", ring, 1},
                               {"layout", layout, 1},
                               {"handle", handle, 2}};

}  // namespace

std::optional<int> run_escape_action(int argc, char** argv) {
  if (argc < 3 || std::string_view(argv[1]) != "--escape") return std::nullopt;
  const Arguments arguments(argv + 3, argv + argc);
  if (std::string_view(argv[2]) == "victim") return victim(arguments);
  ::umask(0);
  for (const Action& action : kActions)
    if (std::string_view(argv[2]) == action.name && arguments.size() == action.n_arguments) {
      action.run(arguments);
      return 0;
    }
  std::fprintf(stderr, "no such action: %s with %zu arguments\n", argv[2], arguments.size());
  return 2;
}

}  // namespace atelier::agent
