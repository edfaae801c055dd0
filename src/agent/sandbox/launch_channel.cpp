#include "agent/sandbox/launch_channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "agent/sandbox/os_error.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxSpecBytes = size_t{8} << 20;  // arguments and environment: the kernel allows less
static_assert(sizeof(LaunchReport) <= PIPE_BUF);

union Control {
  char bytes[CMSG_SPACE(kLaunchFds * sizeof(int))];
  cmsghdr align;
};

}  // namespace

Status send_launch(int socket, const LaunchFds& fds) {
  char byte = 'L';
  iovec data{&byte, 1};
  Control control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(kLaunchFds * sizeof(int));
  std::array<int, kLaunchFds> numbers{};
  std::transform(fds.begin(), fds.end(), numbers.begin(), [](const Descriptor& fd) { return fd.get(); });
  std::memcpy(CMSG_DATA(header), numbers.data(), sizeof numbers);
  ssize_t sent = -1;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == 1 ? Status() : broken("the launcher does not answer");
}

Result<bool> receive_launch(int socket, LaunchFds& fds) {
  char byte = 0;
  iovec data{&byte, 1};
  Control control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t got = -1;
  do got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (got < 0 || header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(kLaunchFds * sizeof(int)))
    return broken("a request without its descriptors");
  std::array<int, kLaunchFds> numbers{};
  std::memcpy(numbers.data(), CMSG_DATA(header), sizeof numbers);
  for (size_t i = 0; i < kLaunchFds; ++i) fds[i] = Descriptor(numbers[i]);
  return true;
}

Result<Descriptor> spec_file(const LaunchSpec& spec) {
  const std::string bytes = encode(spec);
  if (bytes.size() > kMaxSpecBytes)
    return fail(ErrorCode::kLimit, "sandbox: arguments and environment may have {} bytes, found {}",
                kMaxSpecBytes, bytes.size());
  Descriptor fd(::memfd_create("atelier-command", MFD_CLOEXEC));
  if (fd.get() < 0) return broken("memfd_create");
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return broken("write");
    rest.remove_prefix(static_cast<size_t>(written));
  }
  return fd;
}

Result<LaunchSpec> read_spec(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return broken("fstat");
  std::string bytes(std::min(static_cast<size_t>(info.st_size), kMaxSpecBytes), '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + have, bytes.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return broken("read");
    have += static_cast<size_t>(got);
  }
  return decode_launch_spec(bytes);
}

void report(int fd, LaunchReport::Kind kind, int32_t value, std::string_view text) {
  LaunchReport message;
  message.kind = kind;
  message.value = value;
  text.copy(message.text, sizeof message.text - 1);
  ssize_t written = -1;
  do written = ::write(fd, &message, sizeof message);
  while (written < 0 && errno == EINTR);
}

Result<bool> read_report(int fd, LaunchReport& report) {
  ssize_t got = -1;
  do got = ::read(fd, &report, sizeof report);
  while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  if (got != sizeof report) return broken("a report was cut");
  report.text[sizeof report.text - 1] = '\0';
  return true;
}

}  // namespace atelier::agent
