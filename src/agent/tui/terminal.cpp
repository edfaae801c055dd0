#include "agent/tui/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "agent/tui/keys.h"

namespace atelier::agent::tui {
namespace {

constexpr std::string_view kCursorOn = "\x1b[?25h", kCursorOff = "\x1b[?25l";
// Painted at once by terminals that know it, ignored by the others.
constexpr std::string_view kFrameBegin = "\x1b[?2026h", kFrameEnd = "\x1b[?2026l";

bool write_bytes(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool unicode_locale() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (is_set(variable)) {
      std::string value = std::getenv(variable);
      std::ranges::transform(value, value.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
    }
  return false;
}

// What a signal handler needs to put the terminal back; one terminal a process.
struct Rescue {
  volatile sig_atomic_t active = 0;
  int input = -1, output = -1;
  termios before{};
};
Rescue g_rescue;
constexpr std::array kDeadly = {SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

}  // namespace

extern "C" void atelier_on_deadly_signal(int signal) {
  if (g_rescue.active != 0) {
    g_rescue.active = 0;
    ::tcsetattr(g_rescue.input, TCSANOW, &g_rescue.before);
    constexpr std::string_view kBack = "\x1b[?2026l\x1b[?2004l\x1b[?25h\r\n";
    (void)!::write(g_rescue.output, kBack.data(), kBack.size());
  }
  ::raise(signal);  // SA_RESETHAND: dies as it would have
}

Size terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

Abilities abilities_of(int fd) {
  const char* term = std::getenv("TERM");
  const std::string_view name = term == nullptr ? "" : term;
  Abilities abilities;
  abilities.cursor = ::isatty(fd) == 1 && !name.empty() && name != "dumb";
  abilities.dress = !abilities.cursor    ? Dress::kPlain
                    : is_set("NO_COLOR") ? Dress::kAttributes
                                         : Dress::kColours;
  abilities.unicode = unicode_locale();
  return abilities;
}

Result<RawMode> RawMode::enter(int input, int output) {
  termios before{};
  if (::tcgetattr(input, &before) != 0)
    return fail(ErrorCode::kIo, "terminal: {}", std::generic_category().message(errno));
  RawMode mode(input, output, before);
  g_rescue.input = input;
  g_rescue.output = output;
  g_rescue.before = before;
  struct sigaction action{};
  action.sa_handler = atelier_on_deadly_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  for (const int signal : kDeadly) {
    // What somebody else handles (a mapped file that vanished) stays theirs.
    struct sigaction old{};
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler == SIG_DFL)
      ::sigaction(signal, &action, nullptr);
  }
  mode.enter_again();
  return mode;
}

RawMode::RawMode(RawMode&& other) noexcept
    : input_(std::exchange(other.input_, -1)), output_(other.output_), before_(other.before_) {}

RawMode::~RawMode() {
  if (input_ >= 0) leave();
}

void RawMode::enter_again() {
  termios raw = before_;
  raw.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INLCR | INPCK | ISTRIP | IXON);
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
  raw.c_cflag |= CS8;
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  ::tcsetattr(input_, TCSADRAIN, &raw);
  g_rescue.active = 1;
  write_bytes(output_, kPasteModeOn);
}

void RawMode::leave() {
  g_rescue.active = 0;
  write_bytes(output_, std::string(kPasteModeOff) + std::string(kCursorOn));
  ::tcsetattr(input_, TCSADRAIN, &before_);
}

void Screen::print(const Lines& lines) {
  printed_.insert(printed_.end(), lines.begin(), lines.end());
  changed_ = changed_ || !lines.empty();
}

void Screen::show(Lines region, std::optional<Place> cursor) {
  // A line that is full could make the terminal begin the next one by itself.
  for (Line& line : region) line = clipped(line, size_.columns - 1, abilities_.unicode);
  if (region == region_ && cursor == cursor_) return;
  region_ = std::move(region);
  cursor_ = cursor;
  changed_ = true;
}

void Screen::clear() { show({}, Place{}); }

void Screen::resized() {
  const Size now = terminal_size(fd_);
  if (now == size_) return;
  // Narrower: the terminal has broken lines of the region in two. The cursor moved down with them.
  size_t rows = 0;
  for (size_t i = 0; i < painted_.size() && i < cursor_row_; ++i)
    rows += std::max<size_t>(1, (width_of(painted_[i]) + now.columns - 1) / now.columns);
  if (painted_cursor_) rows += painted_cursor_->column / now.columns;
  cursor_row_ = rows;
  size_ = now;
  all_ = true;
  for (Line& line : region_) line = clipped(line, size_.columns - 1, abilities_.unicode);
  changed_ = true;
}

std::string Screen::erase_region() const {
  std::string out = "\r";
  if (cursor_row_ > 0) out += fmt::format("\x1b[{}A", cursor_row_);
  return out + "\x1b[J";
}

// The lines that are different, in place; the cursor ends in the last line.
std::string Screen::repaint_lines() const {
  std::string out = "\r";
  if (cursor_row_ > 0) out += fmt::format("\x1b[{}A", cursor_row_);
  for (size_t i = 0; i < region_.size(); ++i) {
    if (i > 0) out += "\r\n";
    if (region_[i] != painted_[i]) out += "\x1b[K" + rendered(region_[i], abilities_.dress);
  }
  return out;
}

bool Screen::flush() {
  if (!changed_) return true;
  changed_ = false;
  std::string out;
  if (!abilities_.cursor) {
    for (const Line& line : printed_) out += rendered(line, Dress::kPlain) + "\n";
    printed_.clear();
    return write_bytes(fd_, out);
  }
  out += kFrameBegin;
  out += kCursorOff;
  if (printed_.empty() && !all_ && region_.size() == painted_.size()) {
    out += repaint_lines();
  } else {
    out += erase_region();
    for (const Line& line : std::exchange(printed_, {})) out += rendered(line, abilities_.dress) + "\r\n";
    for (size_t i = 0; i < region_.size(); ++i)
      out += (i == 0 ? "" : "\r\n") + rendered(region_[i], abilities_.dress);
  }
  all_ = false;
  size_t row = region_.empty() ? 0 : region_.size() - 1;
  if (cursor_) {
    const size_t wanted = std::min(cursor_->row, row);
    if (wanted < row) out += fmt::format("\x1b[{}A", row - wanted);
    row = wanted;
    out += "\r";
    if (cursor_->column > 0) out += fmt::format("\x1b[{}C", cursor_->column);
    out += kCursorOn;
  }
  out += kFrameEnd;
  cursor_row_ = row;
  painted_ = region_;
  painted_cursor_ = cursor_;
  return write_bytes(fd_, out);
}

}  // namespace atelier::agent::tui
