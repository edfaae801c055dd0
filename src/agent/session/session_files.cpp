// The part of the session store that holds files: their contents, and how workspaces stand.
#include <set>

#include "agent/session/session_store.h"
#include "agent/session/state_json.h"

namespace atelier::agent {
namespace {

constexpr int64_t kSparedMs = int64_t{24} * 3600 * 1000;

std::string_view digest_bytes(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

Status SessionStore::keep(const Sha256& digest, std::string_view bytes) const {
  ATELIER_TRY(Statement insert,
              database_.prepare("INSERT INTO contents VALUES(?1, ?2, ?3) ON CONFLICT(digest) DO UPDATE "
                                "SET kept_ms = ?2 WHERE kept_ms < ?2 - 3600000"));
  return insert.bind_bytes(digest_bytes(digest)).bind(now_ms()).bind_bytes(bytes).run();
}

Result<std::string> SessionStore::content(const Sha256& digest) const {
  ATELIER_TRY(Statement select, database_.prepare("SELECT bytes FROM contents WHERE digest = ?"));
  select.bind_bytes(digest_bytes(digest));
  ATELIER_TRY(const bool found, select.step());
  if (!found) return fail(ErrorCode::kNotFound, "content {}: it was not kept", hex(digest).substr(0, 12));
  std::string bytes = select.text(0);
  if (sha256(bytes) != digest)
    return fail(ErrorCode::kCorrupt, "{}: content {} is not what was kept", database_.path().string(),
                hex(digest).substr(0, 12));
  return bytes;
}

Result<SessionStore::WorkspaceState> SessionStore::workspace(const std::string& root) const {
  ATELIER_TRY(Statement select,
              database_.prepare("SELECT files, node, pending FROM workspaces WHERE root = ?"));
  select.bind(root);
  ATELIER_TRY(const bool found, select.step());
  if (!found) return WorkspaceState{};
  return WorkspaceState{FileIndex::decode(select.text(0)), select.integer(1), select.integer(2)};
}

Status SessionStore::set_files(const std::string& root, const FileIndex& files) const {
  ATELIER_TRY(Statement state,
              database_.prepare("INSERT INTO workspaces VALUES(?1, ?2, 0, 0) ON CONFLICT(root) DO "
                                "UPDATE SET files = ?2"));
  return state.bind(root).bind_bytes(files.encode()).run();
}

Status SessionStore::set_pending(const std::string& root, int64_t node) const {
  ATELIER_TRY(Statement update, database_.prepare("UPDATE workspaces SET pending = ? WHERE root = ?"));
  return update.bind(node).bind(root).run();
}

Result<size_t> SessionStore::collect_garbage() {
  ATELIER_TRY(Transaction transaction, Transaction::begin(database_));
  std::set<Sha256> used;
  ATELIER_TRY(Statement changes, database_.prepare("SELECT files FROM nodes WHERE files <> '[]'"));
  for (;;) {
    ATELIER_TRY(const bool row, changes.step());
    if (!row) break;
    ATELIER_TRY(const std::vector<StateChange> list, state_changes_from(changes.text(0)));
    for (const StateChange& change : list)
      for (const auto* state : {&change.before, &change.after})
        if (*state) used.insert((*state)->digest);
  }
  ATELIER_TRY(Statement workspaces, database_.prepare("SELECT files FROM workspaces"));
  for (;;) {
    ATELIER_TRY(const bool row, workspaces.step());
    if (!row) break;
    FileIndex::decode(workspaces.text(0)).for_each([&](const std::string&, const FileState& state) {
      used.insert(state.digest);
    });
  }
  ATELIER_TRY(Statement contents, database_.prepare("SELECT digest FROM contents WHERE kept_ms < ?"));
  contents.bind(now_ms() - kSparedMs);
  ATELIER_TRY(Statement drop, database_.prepare("DELETE FROM contents WHERE digest = ?"));
  std::vector<std::string> unused;
  for (;;) {
    ATELIER_TRY(const bool row, contents.step());
    if (!row) break;
    std::string bytes = contents.text(0);
    Sha256 digest{};
    if (bytes.size() == digest.size()) std::ranges::copy(bytes, reinterpret_cast<char*>(digest.data()));
    if (!used.contains(digest)) unused.push_back(std::move(bytes));
  }
  for (const std::string& digest : unused) ATELIER_CHECK_OK(drop.bind_bytes(digest).run());
  ATELIER_CHECK_OK(transaction.commit());
  return unused.size();
}

}  // namespace atelier::agent
