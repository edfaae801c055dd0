// An agent at work in a session that is kept: what `atelier exec` runs and the terminal interface drives.
#pragma once

#include <memory>
#include <string>

#include "agent/harness/workbench.h"
#include "agent/session/timeline.h"

namespace atelier::agent {

struct AgentSessionOptions {
  WorkbenchOptions bench{};  // folders of session and journal, date and keeper are filled in
  std::string model{};       // as the user named it
  std::string resume{};      // id of a session, or its beginning, or "last" of this folder; empty: a new one
  bool keep_kv = true;       // keys and values on disk, below the user's cache folder
  std::filesystem::path database{};  // empty: SessionStore::standard_path()
};

class AgentSession {
 public:
  // Errors: those of Workbench::open and Timeline. The engine must outlive it.
  static Result<std::unique_ptr<AgentSession>> open(Engine& engine, AgentSessionOptions options) {
    return open(&engine, std::move(options));
  }
  // The same; without an engine the options name a provider.
  static Result<std::unique_ptr<AgentSession>> open(Engine* engine, AgentSessionOptions options);

  Agent& agent() { return bench_->agent(); }
  Workbench& bench() { return *bench_; }
  Timeline& timeline() { return *timeline_; }
  const std::string& id() const { return timeline_->session().id; }
  Result<TaskEnd> run(std::string task, AgentObserver& observer) {
    return agent().run(std::move(task), observer);
  }
  // As Agent::compact, and can be undone.
  Result<bool> compact(AgentObserver& observer);
  // What the next task will begin with, computed while nobody waits, and kept on disk.
  Status warm_up(const PrefillOptions& options);
  // Without computing anything, at the end of a program.
  void keep_kv() { bench_->speaker().save(); }

  // As the timeline's, the conversation included.
  Result<Timeline::Move> undo() { return restored(timeline_->undo()); }
  Result<Timeline::Move> redo() { return restored(timeline_->redo()); }
  Status fork();
  Result<Timeline::Move> switch_to(std::string_view id) { return restored(timeline_->switch_to(id)); }

 private:
  AgentSession() = default;
  Result<Timeline::Move> restored(Result<Timeline::Move> move);
  void restore(StoredTranscript stored);
  void use_folder();

  std::unique_ptr<Workbench> bench_;
  std::unique_ptr<Timeline> timeline_;
  std::string vocabulary_;
  std::filesystem::path sessions_;  // folders of all sessions
};

// The id `named` stands for: "last" is the session of this folder that was worked on last.
Result<SessionInfo> find_session(const SessionStore& store, const std::filesystem::path& folder,
                                 const std::string& named);

}  // namespace atelier::agent
