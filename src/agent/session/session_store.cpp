#include "agent/session/session_store.h"

#include <chrono>
#include <cstring>

#include "agent/session/session_id.h"
#include "agent/session/state_json.h"
#include "agent/session/transcript_json.h"

namespace atelier::agent {
namespace {

constexpr int64_t kVersion = 1;
constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS sessions(
  id TEXT PRIMARY KEY, workspace TEXT NOT NULL, model TEXT NOT NULL, vocabulary TEXT NOT NULL,
  date TEXT NOT NULL, title TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  head INTEGER NOT NULL, tip INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS nodes(
  id INTEGER PRIMARY KEY, session TEXT NOT NULL, parent INTEGER NOT NULL, kind INTEGER NOT NULL,
  created_ms INTEGER NOT NULL, task TEXT NOT NULL, ended TEXT NOT NULL, usage TEXT NOT NULL,
  files TEXT NOT NULL, keep_messages INTEGER NOT NULL, messages TEXT NOT NULL, keep_ids INTEGER NOT NULL,
  ids BLOB NOT NULL, rendered INTEGER NOT NULL, turns INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS nodes_of_session ON nodes(session);
CREATE TABLE IF NOT EXISTS contents(
  digest BLOB PRIMARY KEY, kept_ms INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS workspaces(
  root TEXT PRIMARY KEY, files BLOB NOT NULL, node INTEGER NOT NULL, pending INTEGER NOT NULL) STRICT;
)";
// Every node from one to its opening; ?1 is the one.
constexpr std::string_view kPath =
    "WITH RECURSIVE path(id, depth) AS (SELECT ?1, 0 UNION ALL "
    "SELECT nodes.parent, depth + 1 FROM nodes JOIN path ON nodes.id = path.id WHERE nodes.parent <> 0) ";
constexpr std::string_view kSessionColumns =
    "SELECT id, workspace, model, vocabulary, date, title, created_ms, updated_ms, head, tip FROM sessions ";

SessionInfo session_of(const Statement& row) {
  return {.id = row.text(0),
          .workspace = row.text(1),
          .model = row.text(2),
          .vocabulary = row.text(3),
          .date = row.text(4),
          .title = row.text(5),
          .created_ms = row.integer(6),
          .updated_ms = row.integer(7),
          .head = row.integer(8),
          .tip = row.integer(9)};
}

Result<NodeInfo> node_of(const Statement& row) {
  NodeInfo node{.id = row.integer(0),
                .parent = row.integer(1),
                .kind = static_cast<NodeInfo::Kind>(row.integer(2)),
                .task = row.text(3),
                .end = row.text(4),
                .usage = row.text(5),
                .created_ms = row.integer(7)};
  ATELIER_TRY(node.files, state_changes_from(row.text(6)));
  return node;
}

std::string id_bytes(const std::vector<TokenId>& ids) {
  static_assert(sizeof(TokenId) == sizeof(int32_t));
  return std::string(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId));
}

// Applies what one node says about its parent's transcript. Columns: keep_messages, messages, keep_ids, ids,
// rendered, turns.
Status apply_node(const Statement& row, StoredTranscript& transcript) {
  const auto keep_messages = static_cast<size_t>(row.integer(0)),
             keep_ids = static_cast<size_t>(row.integer(2));
  const std::string bytes = row.text(3);
  if (keep_messages > transcript.messages.size() || keep_ids > transcript.ids.size() ||
      bytes.size() % sizeof(TokenId) != 0)
    return fail(ErrorCode::kCorrupt, "session: a place does not fit the one before it");
  transcript.messages.resize(keep_messages);
  // Not parse_json(): its limits are for what others wrote.
  const chat::Json added = chat::Json::parse(row.text(1), nullptr, /*allow_exceptions=*/false);
  if (!added.is_array()) return fail(ErrorCode::kCorrupt, "session: expected a list of messages, found none");
  for (const chat::Json& json : added) {
    ATELIER_TRY(transcript.messages.emplace_back(), message_from(json));
  }
  transcript.ids.resize(keep_ids + bytes.size() / sizeof(TokenId));
  if (!bytes.empty()) std::memcpy(transcript.ids.data() + keep_ids, bytes.data(), bytes.size());
  transcript.rendered = std::min(static_cast<size_t>(row.integer(4)), transcript.messages.size());
  transcript.turns = static_cast<uint64_t>(row.integer(5));
  return {};
}

}  // namespace

int64_t SessionStore::now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Result<std::filesystem::path> SessionStore::standard_path() {
  ATELIER_TRY(const std::filesystem::path folder, sessions_folder());
  return folder.parent_path() / "sessions.db";
}

Result<SessionStore> SessionStore::open(const std::filesystem::path& file) {
  ATELIER_TRY(Database database, Database::open(file));
  int64_t version = 0;
  {
    ATELIER_TRY(Statement asked, database.prepare("PRAGMA user_version"));
    ATELIER_CHECK_OK(asked.step().map([](bool) {}));
    version = asked.integer(0);
  }
  if (version > kVersion)
    return fail(ErrorCode::kUnsupported, "{}: expected version {} or older, found {}", file.string(),
                kVersion, version);
  if (version < kVersion) {
    ATELIER_TRY(Transaction transaction, Transaction::begin(database));
    ATELIER_CHECK_OK(database.execute(kSchema));
    ATELIER_CHECK_OK(database.execute("PRAGMA user_version = 1"));
    ATELIER_CHECK_OK(transaction.commit());
  }
  return SessionStore(std::move(database));
}

Status SessionStore::create(const SessionInfo& session) {
  ATELIER_TRY(Statement insert,
              database_.prepare("INSERT INTO sessions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  const int64_t now = now_ms();
  insert.bind(session.id).bind(session.workspace).bind(session.model).bind(session.vocabulary);
  insert.bind(session.date).bind(session.title).bind(now).bind(now).bind(session.head).bind(session.tip);
  return insert.run();
}

Result<SessionInfo> SessionStore::find(std::string_view id) const {
  std::vector<SessionInfo> found;
  // Ids have neither % nor _: what was typed may have, and is not a pattern.
  ATELIER_TRY(Statement select, database_.prepare(std::string(kSessionColumns) +
                                                  "WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2"));
  select.bind(id);
  for (;;) {
    ATELIER_TRY(const bool row, select.step());
    if (!row) break;
    found.push_back(session_of(select));
  }
  if (id.empty() || found.empty()) return fail(ErrorCode::kNotFound, "session {}: there is none", id);
  if (found.size() > 1)
    return fail(ErrorCode::kInvalidArgument, "session {}: more than one begins like that", id);
  ATELIER_TRY(const std::vector<NodeInfo> path, path_to(found[0].head));
  for (const NodeInfo& node : path) found[0].n_turns += node.kind == NodeInfo::Kind::kTurn ? 1 : 0;
  return found[0];
}

Result<std::vector<SessionInfo>> SessionStore::list(const std::string& workspace, size_t max) const {
  std::vector<SessionInfo> out;
  ATELIER_TRY(
      Statement select,
      database_.prepare(std::string(kSessionColumns) +
                        "WHERE ?1 = '' OR workspace = ?1 ORDER BY updated_ms DESC, id DESC LIMIT ?2"));
  select.bind(workspace).bind(static_cast<int64_t>(max));
  for (;;) {
    ATELIER_TRY(const bool row, select.step());
    if (!row) break;
    out.push_back(session_of(select));
  }
  ATELIER_TRY(Statement count,
              database_.prepare(std::string(kPath) +
                                "SELECT count(*) FROM nodes JOIN path USING(id) WHERE kind = ?2"));
  for (SessionInfo& session : out) {
    count.bind(session.head).bind(static_cast<int64_t>(NodeInfo::Kind::kTurn));
    ATELIER_CHECK_OK(count.step().map([](bool) {}));
    session.n_turns = static_cast<size_t>(count.integer(0));
    count.reset();
  }
  return out;
}

Status SessionStore::remove(const std::string& id) {
  ATELIER_TRY(Transaction transaction, Transaction::begin(database_));
  ATELIER_TRY(Statement session, database_.prepare("DELETE FROM sessions WHERE id = ?"));
  ATELIER_CHECK_OK(session.bind(id).run());
  // Places a fork still stands on stay.
  ATELIER_TRY(
      Statement nodes,
      database_.prepare("WITH RECURSIVE used(id) AS (SELECT head FROM sessions UNION SELECT tip FROM "
                        "sessions UNION SELECT nodes.parent FROM nodes JOIN used ON nodes.id = used.id) "
                        "DELETE FROM nodes WHERE session = ? AND id NOT IN used"));
  ATELIER_CHECK_OK(nodes.bind(id).run());
  return transaction.commit();
}

Status SessionStore::set_model(const std::string& id, const std::string& model,
                               const std::string& vocabulary) {
  ATELIER_TRY(Statement update,
              database_.prepare("UPDATE sessions SET model = ?, vocabulary = ? WHERE id = ?"));
  return update.bind(model).bind(vocabulary).bind(id).run();
}

Status SessionStore::add(SessionInfo& session, NodeInfo& node, const TranscriptChange& change,
                         const FileIndex* files) {
  node.parent = session.head;
  node.created_ms = now_ms();
  ATELIER_TRY(Transaction transaction, Transaction::begin(database_));
  ATELIER_TRY(
      Statement insert,
      database_.prepare("INSERT INTO nodes(session, parent, kind, created_ms, task, ended, usage, files, "
                        "keep_messages, messages, keep_ids, ids, rendered, turns) "
                        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.bind(session.id).bind(node.parent).bind(static_cast<int64_t>(node.kind)).bind(node.created_ms);
  insert.bind(node.task).bind(node.end).bind(node.usage).bind(state_changes_text(node.files));
  insert.bind(static_cast<int64_t>(change.keep_messages)).bind(change.messages);
  insert.bind(static_cast<int64_t>(change.keep_ids)).bind_bytes(id_bytes(change.ids));
  insert.bind(static_cast<int64_t>(change.rendered)).bind(static_cast<int64_t>(change.turns));
  ATELIER_CHECK_OK(insert.run());
  node.id = database_.last_inserted_id();
  const std::string title = session.title.empty() ? node.task.substr(0, node.task.find('\n')) : session.title;
  ATELIER_TRY(Statement head, database_.prepare("UPDATE sessions SET head = ?1, tip = ?1, updated_ms = ?2, "
                                                "title = ?3 WHERE id = ?4"));
  ATELIER_CHECK_OK(head.bind(node.id).bind(node.created_ms).bind(title).bind(session.id).run());
  if (files != nullptr) {
    ATELIER_TRY(Statement state,
                database_.prepare("INSERT INTO workspaces VALUES(?1, ?2, ?3, 0) ON CONFLICT(root) DO "
                                  "UPDATE SET files = ?2, node = ?3"));
    ATELIER_CHECK_OK(state.bind(session.workspace).bind_bytes(files->encode()).bind(node.id).run());
  }
  ATELIER_CHECK_OK(transaction.commit());
  session.head = session.tip = node.id;
  session.title = title;
  session.updated_ms = node.created_ms;
  if (node.kind == NodeInfo::Kind::kTurn) ++session.n_turns;
  return {};
}

Result<std::vector<NodeInfo>> SessionStore::path_to(int64_t id) const {
  std::vector<NodeInfo> out;
  if (id == 0) return out;
  ATELIER_TRY(Statement select,
              database_.prepare(std::string(kPath) +
                                "SELECT nodes.id, parent, kind, task, ended, usage, files, created_ms "
                                "FROM nodes JOIN path USING(id) ORDER BY depth DESC"));
  select.bind(id);
  for (;;) {
    ATELIER_TRY(const bool row, select.step());
    if (!row) return out;
    ATELIER_TRY(out.emplace_back(), node_of(select));
  }
}

Result<StoredTranscript> SessionStore::transcript_at(int64_t id) const {
  StoredTranscript transcript;
  ATELIER_TRY(
      Statement select,
      database_.prepare(std::string(kPath) + "SELECT keep_messages, messages, keep_ids, ids, rendered, turns "
                                             "FROM nodes JOIN path USING(id) ORDER BY depth DESC"));
  select.bind(id);
  for (;;) {
    ATELIER_TRY(const bool row, select.step());
    if (!row) return transcript;
    ATELIER_CHECK_OK(apply_node(select, transcript));
  }
}

Status SessionStore::move(const SessionInfo& session, const FileIndex& files) {
  ATELIER_TRY(Transaction transaction, Transaction::begin(database_));
  ATELIER_TRY(Statement heads,
              database_.prepare("UPDATE sessions SET head = ?, tip = ?, updated_ms = ? WHERE id = ?"));
  ATELIER_CHECK_OK(heads.bind(session.head).bind(session.tip).bind(now_ms()).bind(session.id).run());
  ATELIER_TRY(Statement state,
              database_.prepare("INSERT INTO workspaces VALUES(?1, ?2, ?3, 0) ON CONFLICT(root) DO "
                                "UPDATE SET files = ?2, node = ?3, pending = 0"));
  ATELIER_CHECK_OK(state.bind(session.workspace).bind_bytes(files.encode()).bind(session.head).run());
  return transaction.commit();
}

}  // namespace atelier::agent
