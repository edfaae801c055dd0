// The database of sessions: who worked where, every place of every conversation, and the contents of files.
//
//   sessions    one conversation in one workspace; `head` is the place it stands at, `tip` where redo leads
//   nodes       places, a tree: each says how its transcript differs from its parent's. A node whose kind is
//               kOpening or kTurn is a checkpoint one can go back to; the others lead there
//   contents    of files and links, by SHA-256
//   workspaces  the last known state of the files of a folder, and the node they belong to
//
// A node that was added is on disk when add() returns. Nothing is ever changed in place but heads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/session/database.h"
#include "agent/session/file_index.h"
#include "chat/conversation.h"
#include "text/tokenizer.h"

namespace atelier::agent {

struct SessionInfo {
  std::string id{};
  std::string workspace{};   // its root
  std::string model{};       // as the user named it
  std::string vocabulary{};  // of the ids kept: those of another are not reused
  std::string date{};        // shown to the model, frozen
  std::string title{};       // of the first task
  int64_t created_ms = 0, updated_ms = 0;
  int64_t head = 0, tip = 0;  // nodes
  size_t n_turns = 0;         // up to head
};

// How the last task up to a node ended; also of nodes on the way.
struct NodeInfo {
  enum class Kind : uint8_t { kOpening, kTask, kStep, kTurn };
  int64_t id = 0;
  int64_t parent = 0;  // 0: none
  Kind kind = Kind::kOpening;
  std::string task{};                // kTask, kTurn: what the user asked for
  std::string end{};                 // kTurn: "answered", "interrupted", …
  std::string usage{};               // kTurn: JSON
  std::vector<StateChange> files{};  // kTurn: what the turn did to files
  int64_t created_ms = 0;
  bool is_checkpoint() const { return kind == Kind::kOpening || kind == Kind::kTurn; }
};

// What of a transcript is kept: the rest of the conversation (tools, date) follows from program and session.
struct StoredTranscript {
  std::vector<chat::Message> messages{};
  std::vector<TokenId> ids{};
  size_t rendered = 0;  // messages that stand in ids
  uint64_t turns = 0;   // sampled so far
};

class SessionStore {
 public:
  // $XDG_STATE_HOME/atelier/sessions.db. kNotFound without a home.
  static Result<std::filesystem::path> standard_path();
  // Errors: those of Database::open; kUnsupported where a newer program wrote it.
  static Result<SessionStore> open(const std::filesystem::path& file);

  const Database& database() const { return database_; }

  // --- sessions
  Status create(const SessionInfo& session);  // head and tip 0
  // By id, or by the beginning of one that only one has. kNotFound, kInvalidArgument for an ambiguous one.
  Result<SessionInfo> find(std::string_view id) const;
  // Newest first; of one workspace, or of all where it is empty.
  Result<std::vector<SessionInfo>> list(const std::string& workspace, size_t max) const;
  // Also what only it needed.
  Status remove(const std::string& id);
  Status set_model(const std::string& id, const std::string& model, const std::string& vocabulary);

  // --- nodes
  // `messages`, `ids`: those past keep_messages and keep_ids of the parent's.
  struct TranscriptChange {
    size_t keep_messages = 0;
    std::string messages{};  // JSON array
    size_t keep_ids = 0;
    std::vector<TokenId> ids{};
    size_t rendered = 0;
    uint64_t turns = 0;
  };
  // Adds a node below session.head and makes it head and tip. kTurn: together with the state of the
  // workspace's files. Sets id, head, tip.
  Status add(SessionInfo& session, NodeInfo& node, const TranscriptChange& change, const FileIndex* files);
  // From the opening to `id`.
  Result<std::vector<NodeInfo>> path_to(int64_t id) const;
  Result<StoredTranscript> transcript_at(int64_t id) const;
  // Head and tip of a session, and where its workspace's files stand; one transaction.
  Status move(const SessionInfo& session, const FileIndex& files);

  // --- files
  Status keep(const Sha256& digest, std::string_view bytes) const;
  Result<std::string> content(const Sha256& digest) const;
  struct WorkspaceState {
    FileIndex files{};
    int64_t node = 0;     // the files were last seen at; 0: none
    int64_t pending = 0;  // being moved to this node: to be finished; 0: nothing is under way
  };
  Result<WorkspaceState> workspace(const std::string& root) const;
  Status set_files(const std::string& root, const FileIndex& files) const;
  // Written before the first file is touched, and cleared by move().
  Status set_pending(const std::string& root, int64_t node) const;
  // Lets go of contents nobody refers to, unless they were kept within the last day: somebody may be about
  // to. Their number.
  Result<size_t> collect_garbage();

 private:
  static int64_t now_ms();  // since 1970
  explicit SessionStore(Database database) : database_(std::move(database)) {}

  Database database_;
};

}  // namespace atelier::agent
