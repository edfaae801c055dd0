#include "agent/session/agent_session.h"

#include "agent/session/session_id.h"
#include "base/user_folders.h"

namespace atelier::agent {

Result<SessionInfo> find_session(const SessionStore& store, const std::filesystem::path& folder,
                                 const std::string& named) {
  if (named != "last") return store.find(named);
  std::error_code failed;
  const std::string root = std::filesystem::canonical(folder, failed).string();
  ATELIER_TRY(std::vector<SessionInfo> sessions, store.list(root, 1));
  if (sessions.empty() || failed)
    return fail(ErrorCode::kNotFound, "{}: there is no session of this folder", folder.string());
  return std::move(sessions[0]);
}

Result<std::unique_ptr<AgentSession>> AgentSession::open(Engine* engine, AgentSessionOptions options) {
  std::unique_ptr<AgentSession> made(new AgentSession());
  if (options.database.empty()) {
    ATELIER_TRY(options.database, SessionStore::standard_path());
  }
  if (options.keep_kv) {
    ATELIER_TRY(const std::filesystem::path cache, user_folder(UserFolder::kCache));
    options.bench.kv_folder = cache / "kv";
  }
  SessionInfo session{.id = new_session_id(), .model = options.model};
  if (!options.resume.empty()) {
    ATELIER_TRY(const SessionStore store, SessionStore::open(options.database));
    ATELIER_TRY(session, find_session(store, options.bench.folder, options.resume));
    options.bench.date = session.date;
  }
  if (options.bench.date.empty()) options.bench.date = chat::today();
  session.date = options.bench.date;
  made->sessions_ = options.database.parent_path() / "sessions";
  options.bench.session_folder = made->sessions_ / session.id;
  ATELIER_TRY(made->bench_, Workbench::open(engine, std::move(options.bench)));
  Workbench& bench = *made->bench_;
  made->vocabulary_ = bench.speaker().vocabulary();
  const TimelineOptions kept{.database = options.database, .journal_folder = bench.journal_folder()};
  if (options.resume.empty()) {
    session.vocabulary = made->vocabulary_;
    ATELIER_TRY(made->timeline_,
                Timeline::begin(bench.workspace(), session, bench.speaker().transcript(), kept));
  } else {
    ATELIER_TRY(made->timeline_, Timeline::resume(bench.workspace(), session.id, kept));
    ATELIER_TRY(StoredTranscript stored, made->timeline_->transcript());
    made->restore(std::move(stored));
    if (session.vocabulary != made->vocabulary_ || session.model != options.model)
      ATELIER_CHECK_OK(made->timeline_->set_model(options.model, made->vocabulary_));
  }
  bench.agent().options().keeper = made->timeline_.get();
  return made;
}

void AgentSession::restore(StoredTranscript stored) {
  Transcript transcript;
  // Tools and the like are this program's; what was said is the session's.
  transcript.conversation = bench_->speaker().transcript().conversation;
  transcript.conversation.messages = std::move(stored.messages);
  transcript.conversation.tool_choice = {};
  transcript.turns = stored.turns;
  if (timeline_->session().vocabulary == vocabulary_) {
    transcript.ids = std::move(stored.ids);
    transcript.rendered = stored.rendered;
  }
  bench_->speaker().restore(std::move(transcript));
}

Result<Timeline::Move> AgentSession::restored(Result<Timeline::Move> move) {
  if (!move) return move;
  restore(move->transcript);
  use_folder();
  return move;
}

Result<bool> AgentSession::compact(AgentObserver& observer) {
  ATELIER_TRY(const bool done, agent().compact(observer));
  if (done) ATELIER_CHECK_OK(timeline_->mark(bench_->speaker().transcript(), "/compact"));
  return done;
}

Status AgentSession::warm_up(const PrefillOptions& options) {
  ATELIER_CHECK_OK(bench_->speaker().warm_up(options));
  keep_kv();
  return {};
}

Status AgentSession::fork() {
  ATELIER_CHECK_OK(timeline_->fork());
  use_folder();
  return {};
}

void AgentSession::use_folder() { bench_->use_session_folder(sessions_ / id()); }

}  // namespace atelier::agent
