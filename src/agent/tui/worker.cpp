#include "agent/tui/worker.h"

#include <algorithm>
#include <chrono>

#include "agent/tools/output_text.h"

namespace atelier::agent::tui {
namespace {

// What of a running command may wait to be shown.
constexpr size_t kMaxWaitingBytes = size_t{1} << 20;

std::string_view kind_of(const ApprovalRequest& request) {
  return request.kind == ToolKind::kPatch     ? "edits"
         : request.kind == ToolKind::kCommand ? "commands"
                                              : "tools";
}

}  // namespace

// Passes on what an agent tells.
class Worker::Watcher final : public AgentObserver {
 public:
  explicit Watcher(Worker& worker) : worker_(worker) {}
  void on_prefill(size_t done, size_t total) override { worker_.tell(Prefill{done, total}); }
  void on_call_text(std::string_view tool, std::string_view more) override {
    worker_.tell(CallNews{std::string(tool), std::string(more)});
  }
  void on_item(Phase phase, const Item& item, std::string_view more) override {
    if (phase != Phase::kUpdated) return worker_.tell(ItemNews{phase, item, std::string(more)});
    // Not the whole of it with every token.
    ItemNews news{phase,
                  {.id = item.id, .kind = item.kind, .state = item.state, .final = item.final},
                  std::string(more)};
    worker_.tell(std::move(news));
  }
  void on_note(std::string_view text) override { worker_.tell(Note{std::string(text), false}); }
  void on_usage(const AgentUsage& usage) override { worker_.tell(UsageNews{usage}); }
  bool on_approval(const ApprovalRequest& request) override { return worker_.ask(request); }

 private:
  Worker& worker_;
};

Worker::Worker(WorkerOptions options) : options_(std::move(options)), thread_([this] { run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    cancel_.store(true);
    cancel_idle_.store(true);
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::post(Request request) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    cancel_idle_.store(true);
  }
  changed_.notify_all();
}

std::vector<std::string> Worker::take_queued() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const Request& request : requests_)
    if (request.kind == Request::Kind::kTask) out.push_back(request.text);
  std::erase_if(requests_, [](const Request& r) { return r.kind == Request::Kind::kTask; });
  return out;
}

size_t Worker::n_queued() const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::ranges::count(requests_, Request::Kind::kTask, &Request::kind));
}

void Worker::interrupt() {
  cancel_.store(true);
  changed_.notify_all();
}

void Worker::answer(Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_for_answer_) return;
    answer_ = answer;
  }
  changed_.notify_all();
}

std::vector<Event> Worker::take_events() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

void Worker::tell(Event event) {
  {
    const std::lock_guard lock(mutex_);
    // While nobody looks, growing texts grow in place and old progress is forgotten.
    if (!events_.empty()) {
      Event& last = events_.back();
      if (std::holds_alternative<Prefill>(event) && std::holds_alternative<Prefill>(last)) {
        last = event;
        return;
      }
      auto* news = std::get_if<ItemNews>(&event);
      auto* before = std::get_if<ItemNews>(&last);
      constexpr auto kUpdated = AgentObserver::Phase::kUpdated;
      if (news && before && news->phase == kUpdated && before->phase == kUpdated &&
          news->item.id == before->item.id) {
        before->more += news->more;
        if (news->item.kind == Item::Kind::kCommand && before->more.size() > kMaxWaitingBytes)
          before->more.erase(0, before->more.size() - kMaxWaitingBytes);
        return;
      }
    }
    events_.push_back(std::move(event));
  }
  if (options_.wake) options_.wake();
}

bool Worker::ask(const ApprovalRequest& request) {
  if (options_.approve == "auto") return true;
  if (options_.approve == "never") return false;
  if (std::ranges::find(always_, kind_of(request)) != always_.end()) return true;
  tell(Asked{request});
  std::unique_lock lock(mutex_);
  answer_.reset();
  waiting_for_answer_ = true;
  // Esc is an answer too.
  while (!answer_ && !cancel_.load() && !stop_) changed_.wait_for(lock, std::chrono::milliseconds(50));
  waiting_for_answer_ = false;
  const Answer given = answer_.value_or(Answer::kNo);
  if (given == Answer::kAlways) always_.emplace_back(kind_of(request));
  return given != Answer::kNo;
}

void Worker::run() {
  model_ = options_.session.model;
  open(options_.session, /*tell_history=*/true);
  for (;;) {
    Request request;
    {
      std::unique_lock lock(mutex_);
      if (requests_.empty() && !stop_) {
        lock.unlock();
        tell(Idle{});
        idle();
        lock.lock();
      }
      changed_.wait(lock, [this] { return stop_ || !requests_.empty(); });
      if (stop_) break;
      request = std::move(requests_.front());
      requests_.pop_front();
      cancel_.store(false);
      cancel_idle_.store(false);
    }
    serve(request);
  }
  if (session_) session_->keep_kv();
}

void Worker::open(AgentSessionOptions options, bool tell_history) {
  session_.reset();  // before another may lock the same one
  const bool remote = options.bench.provider.has_value();
  if (!engine_ && !remote) {
    Result<std::unique_ptr<Engine>> loaded = options_.load(model_);
    if (!loaded) return tell(Broken{std::move(loaded).error()});
    engine_ = std::move(*loaded);
  }
  options.model = model_;
  options.bench.agent.cancel = &cancel_;
  if (options_.adapt && engine_) options_.adapt(*engine_, options);
  if (remote) options.bench.provider->model = model_;
  Result<std::unique_ptr<AgentSession>> opened = AgentSession::open(engine_.get(), std::move(options));
  if (!opened) return tell(Broken{std::move(opened).error()});
  session_ = std::move(*opened);
  tell_opened(session_->timeline().arrived(), tell_history);
  for (const std::string& text : session_->bench().notes()) tell(Note{text, false});
}

void Worker::tell_opened(MovedFiles moved, bool tell_history) {
  const Speaker& speaker = session_->bench().speaker();
  Opened news{.session = session_->id(),
              .model = model_.empty() && engine_ ? engine_->card().path.filename().string() : model_,
              .sandbox = sandbox_text(),
              .approve = options_.approve,
              .context_limit = speaker.context_length(),
              .context_tokens = speaker.used_tokens(),
              .n_changed = n_changed(),
              .interrupted_task = session_->timeline().interrupted_task(),
              .moved = std::move(moved)};
  if (tell_history) news.history = speaker.transcript().conversation.messages;
  tell(std::move(news));
}

void Worker::serve(const Request& request) {
  using Kind = Request::Kind;
  if (!session_ && request.kind != Kind::kModel && request.kind != Kind::kClear)
    return tell(Note{"There is no session; /model NAME chooses another model, /clear tries again.", true});
  switch (request.kind) {
    case Kind::kTask:
      return run_task(request.text);
    case Kind::kUndo:
    case Kind::kRedo:
    case Kind::kFork:
    case Kind::kSwitch:
      return move(request);
    case Kind::kSessions: {
      const auto sessions =
          session_->timeline().store().list(session_->bench().workspace().root().string(), 20);
      if (!sessions) return fail_with(sessions.error());
      return tell(SessionList{*sessions, session_->id()});
    }
    case Kind::kCompact: {
      Watcher watcher(*this);
      const Result<bool> done = session_->compact(watcher);
      if (!done) return fail_with(done.error());
      if (!*done) tell(Note{"There is nothing to compact.", false});
      return;
    }
    case Kind::kClear: {
      AgentSessionOptions options = options_.session;
      options.resume.clear();
      open(std::move(options), false);
      if (session_) tell(Note{"A new session; the one before is kept, /sessions lists it.", false});
      return;
    }
    case Kind::kModel: {
      AgentSessionOptions options = options_.session;
      options.resume = session_ ? session_->id() : options.resume;
      session_.reset();
      engine_.reset();
      model_ = request.text;
      return open(std::move(options), false);
    }
    case Kind::kSandbox:
    case Kind::kApprove:
      return change_setting(request);
    case Kind::kDiff:
      return tell_changes();
  }
}

void Worker::run_task(const std::string& text) {
  tell(TaskBegun{text});
  Watcher watcher(*this);
  Result<TaskEnd> end = session_->run(text, watcher);
  if (!end) {
    fail_with(end.error());
    return tell(TaskDone{{.kind = TaskEnd::Kind::kFailed, .text = end.error().message}, n_changed()});
  }
  tell(TaskDone{std::move(*end), n_changed()});
}

void Worker::move(const Request& request) {
  using Kind = Request::Kind;
  if (request.kind == Kind::kFork) {
    if (const Status forked = session_->fork(); !forked) return fail_with(forked.error());
    return tell(
        Note{fmt::format("This is session {} now; the one before stays as it is.", session_->id()), false});
  }
  Result<Timeline::Move> moved = request.kind == Kind::kUndo   ? session_->undo()
                                 : request.kind == Kind::kRedo ? session_->redo()
                                                               : session_->switch_to(request.text);
  if (!moved) return fail_with(moved.error());
  if (request.kind == Kind::kSwitch) return tell_opened(std::move(moved->files), true);
  tell(MovedTo{.verb = request.kind == Kind::kUndo ? "Undone" : "Redone",
               .task = moved->task,
               .files = std::move(moved->files),
               .n_changed = n_changed(),
               .context_tokens = session_->bench().speaker().used_tokens()});
}

void Worker::change_setting(const Request& request) {
  if (request.kind == Request::Kind::kSandbox && !request.text.empty()) {
    const auto wanted = parse_sandbox_mode(request.text);
    if (!wanted) return fail_with(wanted.error());
    if (const Status done = session_->bench().confine(*wanted); !done) return fail_with(done.error());
    options_.session.bench.sandbox.policy.mode = *wanted;
  }
  if (request.kind == Request::Kind::kApprove && !request.text.empty()) {
    if (request.text != "never" && request.text != "ask" && request.text != "auto")
      return tell(Note{"approve: expected never, ask or auto, found " + plain_text(request.text), true});
    options_.approve = request.text;
    always_.clear();
  }
  tell(Settings{sandbox_text(), options_.approve});
}

void Worker::tell_changes() {
  const auto names = session_->timeline().changes_so_far();
  if (!names) return fail_with(names.error());
  Result<std::vector<FileChange>> changes = session_->timeline().contents(*names);
  if (!changes) return fail_with(changes.error());
  tell(Changes{std::move(*changes)});
}

void Worker::idle() {
  if (!session_) return;
  // Nobody waits for it: errors show when the same is needed in earnest.
  (void)session_->warm_up({.cancel = &cancel_idle_});
}

size_t Worker::n_changed() const {
  const auto changes = session_->timeline().changes_so_far();
  return changes ? changes->size() : 0;
}

std::string Worker::sandbox_text() const { return session_->bench().runner().description(); }

}  // namespace atelier::agent::tui
