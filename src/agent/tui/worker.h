// The thread an agent works on, so that the terminal never waits for a model.
//
// The worker alone touches engine, session and files. What it is asked to do goes through one queue, what
// happens comes back through another; whoever watches it is woken through a callback.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/session/agent_session.h"

namespace atelier::agent::tui {

// --- what a worker is asked

struct Request {
  enum class Kind : uint8_t {
    kTask,  // text: the message
    kUndo,
    kRedo,
    kFork,
    kSwitch,    // text: a session
    kSessions,  // lists them
    kCompact,
    kClear,    // a new session
    kModel,    // text: its name; empty: tells the present one
    kSandbox,  // text: read-only, workspace, full; empty: tells
    kApprove,  // text: never, ask, auto; empty: tells
    kDiff,     // of the session
  };
  Kind kind = Kind::kTask;
  std::string text{};
};

// --- what it tells

struct Opened {  // a session: at the beginning, and after kSwitch, kClear, kModel
  std::string session{}, model{}, sandbox{}, approve{};
  size_t context_limit = 0, context_tokens = 0;
  size_t n_changed = 0;                  // files of the session
  std::vector<chat::Message> history{};  // of a session taken up again
  std::string interrupted_task{};
  MovedFiles moved{};
};
struct TaskBegun {
  std::string text{};
};
struct Prefill {
  size_t done = 0, total = 0;
};
struct ItemNews {
  AgentObserver::Phase phase = AgentObserver::Phase::kStarted;
  Item item{};         // with kUpdated without text and output
  std::string more{};  // with kUpdated
};
struct CallNews {  // a call is being written
  std::string tool{}, more{};
};
struct Note {
  std::string text{};
  bool error = false;
};
struct UsageNews {
  AgentUsage usage{};
};
struct Asked {  // for approval; the worker waits for answer()
  ApprovalRequest request{};
};
struct TaskDone {
  TaskEnd end{};
  size_t n_changed = 0;  // files of the session
};
struct MovedTo {  // after kUndo, kRedo
  std::string verb{}, task{};
  MovedFiles files{};
  size_t n_changed = 0, context_tokens = 0;
};
struct SessionList {
  std::vector<SessionInfo> sessions{};
  std::string current{};
};
struct Changes {
  std::vector<FileChange> files{};
};
struct Settings {  // after kSandbox, kApprove
  std::string sandbox{}, approve{};
};
struct Idle {};  // nothing is left to be done
struct Broken {  // no session could be opened
  Error error{};
};
using Event = std::variant<Opened, TaskBegun, Prefill, ItemNews, CallNews, Note, UsageNews, Asked, TaskDone,
                           MovedTo, SessionList, Changes, Settings, Idle, Broken>;

struct WorkerOptions {
  // Loads a model by the user's name for it; on the worker's thread.
  std::function<Result<std::unique_ptr<Engine>>(const std::string& model)> load{};
  // Settles what follows from the model (sampling); on the worker's thread.
  std::function<void(const Engine& engine, AgentSessionOptions& session)> adapt{};
  AgentSessionOptions session{};
  std::string approve = "ask";   // never, ask, auto
  std::function<void()> wake{};  // there are events; called on the worker's thread
};

class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();  // interrupts and waits
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(Request request);
  // Of what was posted, the tasks not begun; taken back.
  std::vector<std::string> take_queued();
  size_t n_queued() const;
  // Ends the running task; what is queued stays.
  void interrupt();
  enum class Answer : uint8_t { kNo, kYes, kAlways };
  void answer(Answer answer);
  std::vector<Event> take_events();

 private:
  class Watcher;
  void run();
  void open(AgentSessionOptions options, bool tell_history);
  void tell_opened(MovedFiles moved, bool tell_history);
  void serve(const Request& request);
  void run_task(const std::string& text);
  void move(const Request& request);
  void change_setting(const Request& request);
  void tell_changes();
  void idle();
  void tell(Event event);
  void fail_with(const Error& error) { tell(Note{error.message, true}); }
  bool ask(const ApprovalRequest& request);
  size_t n_changed() const;
  std::string sandbox_text() const;

  WorkerOptions options_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<AgentSession> session_;
  std::string model_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  std::vector<Event> events_;
  std::optional<Answer> answer_;
  bool waiting_for_answer_ = false, stop_ = false;
  std::vector<std::string> always_;       // kinds of requests that were agreed to once and for all
  std::atomic<bool> cancel_{false};       // the task
  std::atomic<bool> cancel_idle_{false};  // the warming up
  std::thread thread_;
};

}  // namespace atelier::agent::tui
