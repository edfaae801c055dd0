// The application's state; app.cpp has the loop, app_events.cpp what the worker tells, app_commands.cpp what
// begins with a slash.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/tui/app.h"
#include "agent/tui/completion.h"
#include "agent/tui/conversation_view.h"
#include "agent/tui/editor.h"
#include "agent/tui/status.h"
#include "agent/tui/terminal.h"
#include "base/descriptor.h"

namespace atelier::agent::tui {

class App {
 public:
  explicit App(AppOptions options);
  Status run();

 private:
  using Clock = ConversationView::Clock;
  // --- the loop
  Status loop();
  int wait_ms() const;
  void read_input();
  void read_lines(std::string_view bytes);
  void press(const Key& key);
  bool press_in_popup(const Key& key);
  bool press_while_asked(const Key& key);
  void press_control_c();
  void suspend();
  void interrupt();
  void submit(std::string text);
  void repaint();
  Lines popup_lines() const;
  void refresh_completion();

  // --- what the worker tells
  void handle(Event event);
  void on(const Opened& news);
  void on(const TaskBegun& news);
  void on(const Prefill& news);
  void on(const ItemNews& news);
  void on(const CallNews& news) { view_.show(news); }
  void on(const Note& news);
  void on(const UsageNews& news);
  void on(const Asked& news);
  void on(const TaskDone& news);
  void on(const MovedTo& news);
  void on(const SessionList& news);
  void on(const Changes& news);
  void on(const Settings& news);
  void on(const Idle&);
  void on(const Broken& news);

  // --- commands
  bool run_command(std::string_view text);
  void show_help();

  BlockOptions blocks() const;
  void print(Lines lines) { screen_.print(lines); }
  void print_block(Lines lines) { screen_.print(view_.block(std::move(lines))); }
  void say(std::string text, Style style = {});
  double seconds_since(Clock::time_point begin) const {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  AppOptions options_;
  Screen screen_;
  Editor editor_;
  KeyReader keys_;
  ConversationView view_;
  Completion completion_;
  size_t chosen_ = 0;               // of the completion's candidates
  bool popup_closed_ = false;       // until the text changes
  std::vector<std::string> files_;  // of the workspace, for completion
  Clock::time_point files_read_{};
  StatusFacts facts_;
  Totals totals_;
  EnergyMeter energy_;
  std::optional<Prefill> prefill_;
  std::optional<ApprovalRequest> asked_;
  std::vector<SessionInfo> listed_;  // by the last /sessions
  std::string session_, held_line_;
  Clock::time_point task_begun_{}, prefill_begun_{}, last_control_c_{};
  bool working_ = false, interrupting_ = false, idle_ = false, done_ = false, input_ended_ = false;
  bool broken_ = false;
  Status failed_;
  Descriptor wake_;
  std::optional<RawMode> raw_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace atelier::agent::tui
