#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/sandbox/os_error.h"
#include "agent/sandbox/sandbox.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxRead = size_t{1} << 20;     // a flood is passed on in pieces
constexpr size_t kMaxErrors = size_t{64} << 10;  // kept of what a command to converse with complains about

}  // namespace

int SandboxEnd::exit_code() const {
  switch (how) {
    case How::kExited:
      return value;
    case How::kSignalled:
      return 128 + value;
    case How::kTimedOut:
      return 124;
    case How::kCancelled:
      return 130;
  }
  return value;
}

SandboxProcess::~SandboxProcess() { stop(); }

void SandboxProcess::take_report(const LaunchReport& report) {
  if (report.kind == LaunchReport::Kind::kStarted) {
    started_ = true;
  } else if (!last_ || last_->kind != LaunchReport::Kind::kFailed) {
    last_ = report;
  }
}

// The supervisor holds the last end of the report's pipe, and closes it when nothing of the command is left.
void SandboxProcess::take_reports() {
  LaunchReport report;
  for (;;) {
    const auto more = read_report(report_.get(), report);
    if (!more || !*more) break;
    take_report(report);
  }
  report_ = Descriptor();
}

// Whatever is there.
void SandboxProcess::take_errors() {
  std::array<char, 16384> chunk;
  while (errors_.get() >= 0) {
    const ssize_t got = ::read(errors_.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errors_ = Descriptor();
    if (got <= 0) return;
    errors_text_.append(chunk.data(), static_cast<size_t>(got));
    if (errors_text_.size() > kMaxErrors) errors_text_.erase(0, errors_text_.size() - kMaxErrors);
  }
}

Status SandboxProcess::write(std::string_view text, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!text.empty()) {
    const ssize_t n = ::write(input_.get(), text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return fail(ErrorCode::kIo, "sandbox: the command does not read its input");
      // It may be waiting to be listened to itself.
      std::array<pollfd, 2> ready = {{{.fd = input_.get(), .events = POLLOUT, .revents = 0},
                                      {.fd = errors_.get(), .events = POLLIN, .revents = 0}}};
      ::poll(ready.data(), ready.size(), static_cast<int>(left.count()));
      take_errors();
    } else if (errno != EINTR) {
      return broken("write");
    }
  }
  return {};
}

Result<bool> SandboxProcess::read(std::chrono::milliseconds patience, std::string& output) {
  const size_t before = output.size();
  const auto wait_for = [&] { return output.size() == before ? static_cast<int>(patience.count()) : 0; };
  while (!output_ended_ && output.size() - before < kMaxRead) {
    std::array<pollfd, 2> ready = {{{.fd = output_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = errors_.get(), .events = POLLIN, .revents = 0}}};
    const int n = ::poll(ready.data(), ready.size(), wait_for());
    if (n <= 0) return true;
    take_errors();
    if (ready[0].revents == 0) return true;
    std::array<char, 65536> chunk;
    const ssize_t got = ::read(output_.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return broken("read");
    if (got == 0) output_ended_ = true;
    output.append(chunk.data(), static_cast<size_t>(got));
  }
  if (!output_ended_) return true;
  // Nobody can write any more; what remains is to be told how it ended. The command may have closed its
  // output and go on.
  pollfd told{.fd = report_.get(), .events = POLLIN, .revents = 0};
  while (report_.get() >= 0) {
    if (::poll(&told, 1, wait_for()) <= 0) return true;
    LaunchReport report;
    const auto more = read_report(report_.get(), report);
    if (!more || !*more) {
      report_ = Descriptor();
    } else {
      take_report(report);
    }
  }
  return false;
}

void SandboxProcess::stop() {
  life_ = Descriptor();
  if (report_.get() >= 0) take_reports();
  take_errors();
}

Result<SandboxEnd> SandboxProcess::end() const {
  if (!last_) return fail(ErrorCode::kIo, "sandbox: the command ended without a word");
  switch (last_->kind) {
    case LaunchReport::Kind::kExited:
      return SandboxEnd{SandboxEnd::How::kExited, last_->value};
    case LaunchReport::Kind::kSignalled:
      return SandboxEnd{SandboxEnd::How::kSignalled, last_->value};
    case LaunchReport::Kind::kStarted:
    case LaunchReport::Kind::kFailed:
      break;
  }
  // 127 is what a shell says of a program that is not there; that is the command's failure, not ours.
  return fail(started_ ? ErrorCode::kNotFound : ErrorCode::kIo, "{}{}",
              started_ ? "" : "sandbox: ", last_->text);
}

}  // namespace atelier::agent
