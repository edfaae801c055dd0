#include "agent/tui/app.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "agent/tools/file_walk.h"
#include "agent/tui/app_impl.h"

namespace atelier::agent::tui {
namespace {

constexpr int kTickMs = 100;   // of the moving picture while something goes on
constexpr int kEscapeMs = 30;  // how long what follows an escape may take
constexpr size_t kMaxPopupRows = 8;
constexpr auto kControlCTwice = std::chrono::seconds(2);
constexpr auto kFilesFresh = std::chrono::seconds(10);

std::atomic<int> g_resize_fd{-1};

}  // namespace

extern "C" void atelier_on_resize(int) {
  const uint64_t one = 1;
  const int fd = g_resize_fd.load();
  if (fd >= 0) (void)!::write(fd, &one, sizeof one);
}

Status run_app(AppOptions options) { return App(std::move(options)).run(); }

App::App(AppOptions options)
    : options_(std::move(options)),
      screen_(options_.output, abilities_of(options_.output)),
      editor_(History(options_.history_file)),
      view_(blocks()) {}

BlockOptions App::blocks() const {
  return {.width = screen_.abilities().cursor ? screen_.size().columns - 1 : 100,
          .unicode = screen_.abilities().unicode};
}

Status App::run() {
  wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake_.get() < 0) return fail(ErrorCode::kIo, "eventfd: {}", std::generic_category().message(errno));
  const bool keys = screen_.abilities().cursor && ::isatty(options_.input) == 1;
  if (keys) {
    ATELIER_TRY(RawMode raw, RawMode::enter(options_.input, options_.output));
    raw_.emplace(std::move(raw));
    g_resize_fd.store(wake_.get());
    struct sigaction action{};
    action.sa_handler = atelier_on_resize;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGWINCH, &action, nullptr);
  }
  if (!options_.greeting.empty()) say(options_.greeting, kDim);
  repaint();
  options_.worker.wake = [fd = wake_.get()] {
    const uint64_t one = 1;
    (void)!::write(fd, &one, sizeof one);
  };
  worker_ = std::make_unique<Worker>(options_.worker);
  const Status ended = loop();
  g_resize_fd.store(-1);
  print(view_.end());
  if (raw_ && !session_.empty())
    say(fmt::format("atelier resume {} goes on with this session", session_), kDim);
  screen_.clear();
  screen_.flush();
  worker_.reset();  // finishes what it was doing, and keeps what it knows
  raw_.reset();
  return ended;
}

int App::wait_ms() const {
  if (keys_.waiting()) return kEscapeMs;
  return working_ || !raw_ ? kTickMs : -1;
}

Status App::loop() {
  while (!done_) {
    std::array<pollfd, 2> ready = {pollfd{input_ended_ ? -1 : options_.input, POLLIN, 0},
                                   pollfd{wake_.get(), POLLIN, 0}};
    const int n = ::poll(ready.data(), ready.size(), wait_ms());
    if (n < 0 && errno != EINTR)
      return fail(ErrorCode::kIo, "poll: {}", std::generic_category().message(errno));
    screen_.resized();
    view_.set_width(blocks().width);
    if (n == 0 && keys_.waiting())
      for (const Key& key : keys_.flush()) press(key);
    if (n > 0 && ready[0].revents != 0) read_input();
    if (options_.interrupted != nullptr && options_.interrupted->load()) {
      options_.clear_interrupted();
      press_control_c();
    }
    uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
    for (Event& event : worker_->take_events()) handle(std::move(event));
    if (input_ended_ && !raw_ && idle_ && worker_->n_queued() == 0) done_ = true;
    repaint();
    if (!failed_) return failed_;
  }
  return {};
}

void App::read_input() {
  std::array<char, 65536> bytes{};
  const ssize_t n = ::read(options_.input, bytes.data(), bytes.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    input_ended_ = true;
    if (raw_) done_ = true;  // the terminal is gone
    if (!held_line_.empty()) submit(std::exchange(held_line_, {}));
    return;
  }
  const std::string_view got(bytes.data(), static_cast<size_t>(n));
  if (!raw_) return read_lines(got);
  for (const Key& key : keys_.push(got)) press(key);
}

// Without keys: each line is a message, or the answer to what was asked.
void App::read_lines(std::string_view bytes) {
  held_line_ += bytes;
  for (size_t end = held_line_.find('\n'); end != std::string::npos; end = held_line_.find('\n')) {
    std::string line = held_line_.substr(0, end);
    held_line_.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    if (asked_) {
      const Key key{.code = Key::Code::kText, .text = line.substr(0, 1)};
      if (!press_while_asked(key)) say("y: yes, n: no, a: always");
    } else {
      submit(std::move(line));
    }
  }
}

void App::press(const Key& key) {
  if (key.code == Key::Code::kText && key.control) {
    const char letter = key.text[0];
    if (letter == 'c') return press_control_c();
    if (letter == 'd' && editor_.empty()) {
      done_ = true;
      return;
    }
    if (letter == 'o') return print(view_.toggle_reasoning());
    if (letter == 'l') return screen_.repaint_all();
    if (letter == 'z') return suspend();
  }
  if (asked_ && press_while_asked(key)) return;
  if (press_in_popup(key)) return;
  if (key.code == Key::Code::kEscape) {
    if (working_) interrupt();
    return;
  }
  if (key.code == Key::Code::kUp && editor_.empty() && worker_->n_queued() > 0) {
    std::string all;
    for (const std::string& text : worker_->take_queued()) all += (all.empty() ? "" : "\n") + text;
    editor_.set(all);
    facts_.n_queued = 0;
    return;
  }
  if (editor_.press(key)) {
    popup_closed_ = false;
    return refresh_completion();
  }
  if (key.code == Key::Code::kEnter) {
    std::string text = editor_.take();
    completion_ = {};
    submit(std::move(text));
  }
}

bool App::press_in_popup(const Key& key) {
  using Code = Key::Code;
  if (completion_.empty() || popup_closed_) return false;
  const size_t n = completion_.candidates.size();
  if (key.code == Code::kDown || (key.code == Code::kText && key.control && key.text == "n")) {
    chosen_ = (chosen_ + 1) % n;
    return true;
  }
  if (key.code == Code::kUp || key.code == Code::kBackTab ||
      (key.code == Code::kText && key.control && key.text == "p")) {
    chosen_ = (chosen_ + n - 1) % n;
    return true;
  }
  if (key.code == Code::kEscape) return popup_closed_ = true;
  const bool enter = key.code == Code::kEnter && !key.alt && !key.shift && !key.control;
  if (key.code != Code::kTab && !enter) return false;
  const std::string& text = completion_.candidates[chosen_].text;
  const bool typed_whole = editor_.text() == text;
  const bool is_command = completion_.is_command;
  if (enter && is_command && typed_whole) return false;  // Enter sends it
  editor_.replace(completion_.begin, completion_.end, is_command && enter ? text : text + " ");
  completion_ = {};
  if (enter && is_command) submit(editor_.take());
  return true;
}

void App::refresh_completion() {
  const std::string& text = editor_.text();
  if (text.find('@') != std::string::npos && Clock::now() - files_read_ > kFilesFresh) {
    files_read_ = Clock::now();
    files_.clear();
    if (const auto workspace = Workspace::open(options_.worker.session.bench.folder); workspace)
      (void)walk_files(*workspace, {.max_entries = 50'000}, [&](const WalkEntry& entry) {
        if (entry.kind == WalkEntry::Kind::kFile) files_.push_back(entry.path);
        return Walk::kOn;
      });
  }
  completion_ = complete(text, editor_.cursor(), files_);
  chosen_ = 0;
}

bool App::press_while_asked(const Key& key) {
  using Answer = Worker::Answer;
  std::optional<Answer> answer;
  if (key.code == Key::Code::kEscape) answer = Answer::kNo;
  if (key.code == Key::Code::kText && !key.control && !key.alt && editor_.empty()) {
    if (key.text == "y" || key.text == "Y") answer = Answer::kYes;
    if (key.text == "n" || key.text == "N") answer = Answer::kNo;
    if (key.text == "a" || key.text == "A") answer = Answer::kAlways;
  }
  if (!answer) return false;
  asked_.reset();
  worker_->answer(*answer);
  if (key.code == Key::Code::kEscape) interrupt();
  return true;
}

void App::press_control_c() {
  if (working_) return interrupt();
  if (!editor_.empty()) {
    (void)editor_.take();
    completion_ = {};
    return;
  }
  const auto now = Clock::now();
  if (now - last_control_c_ < kControlCTwice || !raw_) done_ = true;
  last_control_c_ = now;
}

void App::interrupt() {
  interrupting_ = true;
  asked_.reset();
  worker_->interrupt();
}

void App::suspend() {
  screen_.clear();
  screen_.flush();
  raw_->leave();
  ::raise(SIGTSTP);
  raw_->enter_again();
  screen_.repaint_all();
}

void App::submit(std::string text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string::npos) return;
  text.erase(0, begin);
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  if (run_command(text)) return;
  worker_->post({Request::Kind::kTask, std::move(text)});
  idle_ = false;
  facts_.n_queued = worker_->n_queued();
}

Lines App::popup_lines() const {
  Lines lines;
  if (completion_.empty() || popup_closed_) return lines;
  const size_t n = completion_.candidates.size(),
               first = chosen_ >= kMaxPopupRows ? chosen_ - kMaxPopupRows + 1 : 0;
  for (size_t i = first; i < std::min(n, first + kMaxPopupRows); ++i) {
    const Candidate& candidate = completion_.candidates[i];
    Line line(i == chosen_ ? "▸ " : "  ", coloured(Colour::kCyan));
    if (!screen_.abilities().unicode) line = Line(i == chosen_ ? "> " : "  ");
    line.add(fmt::format("{:<12}", printable(candidate.text)), i == chosen_ ? kBold : kPlain);
    if (!candidate.hint.empty()) line.add(" " + candidate.hint, kDim);
    lines.push_back(std::move(line));
  }
  return lines;
}

void App::repaint() {
  if (!screen_.abilities().cursor || !raw_) {
    screen_.flush();
    return;
  }
  const Size size = screen_.size();
  const bool unicode = screen_.abilities().unicode;
  const size_t width = size.columns - 1;
  Editor::View typed = editor_.view(width, Line(unicode ? "› " : "> ", coloured(Colour::kCyan)));
  const size_t max_rows = std::max<size_t>(1, size.rows / 2);
  if (typed.lines.size() > max_rows) {  // the part around the cursor
    const size_t first = std::min(typed.row, typed.lines.size() - max_rows);
    typed.lines.erase(typed.lines.begin(), typed.lines.begin() + static_cast<std::ptrdiff_t>(first));
    typed.lines.resize(max_rows);
    typed.row -= first;
  }
  const Lines popup = popup_lines();
  Lines region;
  const size_t fixed = typed.lines.size() + popup.size() + 5;
  Lines live = view_.live(size.rows > fixed ? size.rows - fixed : 0);
  if (!live.empty()) region.emplace_back();
  region.insert(region.end(), live.begin(), live.end());
  if (asked_) {
    region.emplace_back();
    region.push_back(Line("  y", kBold)
                         .add(" yes  ")
                         .add("n", kBold)
                         .add(" no  ")
                         .add("a", kBold)
                         .add(" always in this session  ")
                         .add("Esc", kBold)
                         .add(" no, and stop"));
  } else if (prefill_ && prefill_->done < prefill_->total) {
    region.emplace_back();
    region.push_back(prefill_line(*prefill_, seconds_since(prefill_begun_), unicode));
  } else if (working_) {
    region.emplace_back();
    region.push_back(working_line(seconds_since(task_begun_), interrupting_, unicode));
  }
  if (facts_.n_queued > 0)
    region.push_back(Line(fmt::format("  {} message{} waiting; Up takes them back", facts_.n_queued,
                                      facts_.n_queued == 1 ? "" : "s"),
                          kDim));
  region.emplace_back();
  const size_t row = region.size() + typed.row;
  region.insert(region.end(), typed.lines.begin(), typed.lines.end());
  region.insert(region.end(), popup.begin(), popup.end());
  const bool leaving = !working_ && Clock::now() - last_control_c_ < kControlCTwice;
  region.push_back(leaving ? Line("Ctrl-C once more leaves", kDim) : status_line(facts_, width, unicode));
  screen_.show(std::move(region), Screen::Place{row, typed.column});
  if (!screen_.flush()) done_ = true;
}

}  // namespace atelier::agent::tui
