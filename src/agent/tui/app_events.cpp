#include "agent/tui/app_impl.h"
#include "agent/tui/diff_view.h"

namespace atelier::agent::tui {
namespace {

std::string when_text(int64_t then_ms) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const int64_t minutes = std::max<int64_t>(0, (now - then_ms) / 60'000);
  if (minutes < 60) return fmt::format("{} min ago", minutes);
  if (minutes < 48 * 60) return fmt::format("{} h ago", minutes / 60);
  return fmt::format("{} days ago", minutes / (24 * 60));
}

}  // namespace

void App::handle(Event event) {
  std::visit([this](const auto& news) { on(news); }, event);
}

void App::say(std::string text, Style style) {
  Lines lines;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    for (Line& part : wrap(Line(printable(std::string_view(text).substr(at, end - at)), style),
                           {.width = blocks().width, .first = {}, .others = Line("  ")}))
      lines.push_back(std::move(part));
    at = end + 1;
  }
  print_block(std::move(lines));
}

void App::on(const Opened& news) {
  session_ = news.session;
  broken_ = false;
  facts_.model = news.model;
  facts_.sandbox = news.sandbox;
  facts_.approve = news.approve;
  facts_.context_limit = news.context_limit;
  facts_.context_tokens = news.context_tokens;
  facts_.n_changed = news.n_changed;
  facts_.usage = {};
  print(view_.history(news.history));
  if (!news.interrupted_task.empty())
    say("The last task was interrupted when its program ended. What it did to files is kept: go on, or "
        "/undo.",
        coloured(Colour::kYellow));
  if (!news.moved.moved.empty() || !news.moved.left.empty()) print_block(moved_lines(news.moved, blocks()));
}

void App::on(const TaskBegun& news) {
  working_ = true;
  interrupting_ = false;
  idle_ = false;
  task_begun_ = prefill_begun_ = Clock::now();
  prefill_.reset();
  facts_.n_queued = worker_->n_queued();
  print_block(message_block(news.text, blocks()));
}

void App::on(const Prefill& news) {
  if (!prefill_ || prefill_->total != news.total) prefill_begun_ = Clock::now();
  prefill_ = news;
}

void App::on(const ItemNews& news) {
  prefill_.reset();
  asked_.reset();
  print(view_.show(news, Clock::now()));
}

void App::on(const Note& news) { say(news.text, news.error ? coloured(Colour::kRed) : kDim); }

void App::on(const UsageNews& news) {
  prefill_.reset();
  facts_.usage = news.usage;
  facts_.context_tokens = news.usage.context_tokens;
  facts_.context_limit = news.usage.context_limit;
}

void App::on(const Asked& news) {
  asked_ = news.request;
  print_block(approval_block(news.request, blocks()));
  if (!raw_) say("y: yes, n: no, a: always");
}

void App::on(const TaskDone& news) {
  working_ = interrupting_ = false;
  asked_.reset();
  prefill_.reset();
  print(view_.end());
  totals_.add(news.end.usage);
  facts_.n_changed = news.n_changed;
  if (news.end.kind != TaskEnd::Kind::kAnswered && news.end.kind != TaskEnd::Kind::kFailed)
    say(news.end.kind == TaskEnd::Kind::kInterrupted ? "Interrupted. Say what to do instead, or /undo."
                                                     : news.end.text,
        coloured(Colour::kYellow));
}

void App::on(const MovedTo& news) {
  facts_.n_changed = news.n_changed;
  facts_.context_tokens = news.context_tokens;
  Lines lines = {
      clipped(Line(news.verb + ": ", kBold).add(printable(news.task.substr(0, news.task.find('\n')))),
              blocks().width, blocks().unicode)};
  for (Line& line : moved_lines(news.files, blocks())) lines.push_back(std::move(line));
  print_block(std::move(lines));
}

void App::on(const SessionList& news) {
  Lines lines;
  listed_ = news.sessions;
  for (size_t i = 0; i < news.sessions.size(); ++i) {
    const SessionInfo& session = news.sessions[i];
    Line line(fmt::format("{:>3}  ", i + 1), kDim);
    line.add(session.id == news.current ? "* " : "  ", coloured(Colour::kCyan));
    line.add(printable(session.title.empty() ? "(nothing yet)" : session.title));
    line.add(fmt::format("  {} turn{}, {}, {}", session.n_turns, session.n_turns == 1 ? "" : "s",
                         when_text(session.updated_ms), session.id),
             kDim);
    lines.push_back(clipped(line, blocks().width, blocks().unicode));
  }
  lines.push_back(Line("/sessions NUMBER goes on with one", kDim));
  print_block(std::move(lines));
}

void App::on(const Changes& news) {
  if (news.files.empty()) return say("This session has changed nothing.", kDim);
  for (const FileChange& change : news.files)
    print_block(diff_view(change, {.width = blocks().width, .max_lines = 400, .unicode = blocks().unicode}));
}

void App::on(const Settings& news) {
  facts_.sandbox = news.sandbox;
  facts_.approve = news.approve;
  say(fmt::format("sandbox {}; what it does not allow: {}", news.sandbox, news.approve), kDim);
}

void App::on(const Idle&) {
  idle_ = true;
  facts_.n_queued = 0;
}

void App::on(const Broken& news) {
  broken_ = true;
  // Somebody at a terminal can choose another model; a script cannot.
  if (!raw_) {
    failed_ = tl::unexpected<Error>(news.error);
    return;
  }
  say(news.error.message, coloured(Colour::kRed));
  facts_.model = "no model";
}

}  // namespace atelier::agent::tui
