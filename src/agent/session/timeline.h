// One session in one workspace, as a line of places to go back and forth on: files, transcript and, through
// the ids, keys and values move together.
//
// A task is kept step by step and becomes a checkpoint when it ends. What it did to files is told by looking
// at all of them before and after: the first look copies what .gitignore does not leave out, later ones only
// what changed. Files that tools changed are kept whatever .gitignore says. Git is never asked and its folder
// never touched.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "agent/harness/agent.h"
#include "agent/harness/keeper.h"
#include "agent/session/move_files.h"
#include "agent/session/session_store.h"

namespace atelier::agent {

struct TimelineOptions {
  std::filesystem::path database{};        // empty: SessionStore::standard_path()
  std::filesystem::path journal_folder{};  // of edits; empty: default_journal_folder()
};

class Timeline final : public TurnKeeper {
 public:
  // A new session (id, model, vocabulary and date are the caller's). `opening`: before anything was asked.
  // The workspace must outlive it.
  static Result<std::unique_ptr<Timeline>> begin(const Workspace& workspace, SessionInfo session,
                                                 const Transcript& opening,
                                                 const TimelineOptions& options = {});
  // An earlier one, of this workspace: finishes a move that was interrupted, and makes a checkpoint of a task
  // that was. Errors: kNotFound; kInvalidArgument for a session of another folder.
  static Result<std::unique_ptr<Timeline>> resume(const Workspace& workspace, std::string_view id,
                                                  const TimelineOptions& options = {});
  ~Timeline() override;

  const SessionInfo& session() const { return session_; }
  const SessionStore& store() const { return store_; }
  // Where the conversation stands.
  Result<StoredTranscript> transcript() const { return store_.transcript_at(session_.head); }
  // The tasks up to here, oldest first.
  Result<std::vector<NodeInfo>> turns() const;
  // After resume: the task that was interrupted by the end of its program, if one was.
  const std::string& interrupted_task() const { return interrupted_task_; }
  // After resume: files that were moved because another session of the same beginning had changed them.
  const MovedFiles& arrived() const { return arrived_; }

  // A place moved to: restore `transcript`.
  struct Move {
    StoredTranscript transcript{};
    MovedFiles files{};
    std::string task{};  // that was taken back, or made again
  };
  // Back before the last task, forward again. kNotFound where there is nothing.
  Result<Move> undo();
  Result<Move> redo();
  // A session of its own from here on; the one so far stays as it is.
  Status fork();
  // Goes on with another session of this workspace; if it shares a beginning with this one, files move too.
  Result<Move> switch_to(std::string_view id);

  // What this session has changed so far, each file once, compared with before its first task.
  Result<std::vector<StateChange>> changes_so_far() const;
  // With the files' contents; links, folders and what was not kept are left out.
  Result<std::vector<FileChange>> contents(const std::vector<StateChange>& changes) const;
  // A checkpoint of what happened outside of a task ("/compact").
  Status mark(const Transcript& transcript, const std::string& name);
  Status set_model(const std::string& model, const std::string& vocabulary);

  Status on_task(const Transcript& transcript, const std::string& task) override;
  Status on_step(const Transcript& transcript) override;
  Status before_effects() override;
  Status on_changes(std::span<const FileChange> changes) override;
  Status on_end(const Transcript& transcript, const TaskEnd& end) override;

 private:
  static Result<std::unique_ptr<Timeline>> open(const Workspace& workspace, SessionInfo session,
                                                TimelineOptions options);
  Timeline(const Workspace& workspace, SessionStore store, SessionInfo session, TimelineOptions options);
  struct Scan {
    FileIndex files;
    std::vector<StateChange> changes;
  };
  static Result<Scan> scan(const std::filesystem::path& root, const std::filesystem::path& database,
                           FileIndex files);
  void start_scan();
  Status finish_scan();
  Status add_node(NodeInfo node, const Transcript& transcript, const FileIndex* files);
  Status take_over_files();
  Status take_over(std::string_view id);
  Status load_kept();
  Status close_turn(const Transcript& transcript, std::string end, std::string usage);
  Status settle();
  Result<Move> go_to(int64_t node, int64_t from);
  Result<MovedFiles> move_to(const std::vector<StateChange>& changes);
  Result<std::vector<StateChange>> way(int64_t from, int64_t to) const;

  const Workspace& workspace_;
  SessionStore store_;
  SessionInfo session_;
  TimelineOptions options_;
  Descriptor lock_;
  FileIndex files_;         // at the beginning of the task, or the end of the last one
  int64_t files_node_ = 0;  // the place they belong to
  std::future<Result<Scan>> scanning_;
  std::string task_, interrupted_task_;
  bool effects_ = false;                 // of this task: something was run that may have changed files
  std::vector<std::string> tool_paths_;  // that tools themselves changed in this task
  MovedFiles arrived_;                   // when this session was taken over
  // The transcript as the store has it: each message's JSON, and the ids.
  std::vector<std::string> kept_messages_;
  std::vector<TokenId> kept_ids_;
};

}  // namespace atelier::agent
