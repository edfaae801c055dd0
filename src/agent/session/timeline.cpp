#include "agent/session/timeline.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "agent/session/session_id.h"
#include "agent/session/transcript_json.h"
#include "agent/workspace/journal.h"
#include "base/file.h"
#include "chat/dialect.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kLostResult =
    "[The program ended while this ran; what it has done is not known. Look before you go on.]";

// Held while a session is worked on; goes with the process.
Result<Descriptor> lock_session(const std::filesystem::path& database, const std::string& id) {
  const std::filesystem::path folder = database.parent_path() / "sessions" / id;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return tl::unexpected<Error>(errno_error(folder, failed.value()));
  Descriptor lock(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) return tl::unexpected<Error>(errno_error(folder / "lock", errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::kIo, "session {}: another process works on it", id);
  return lock;
}

std::string usage_text(const AgentUsage& usage) {
  const nlohmann::json json = {{"steps", usage.steps},
                               {"prompt_tokens", usage.prompt_tokens},
                               {"cached_tokens", usage.cached_tokens},
                               {"output_tokens", usage.output_tokens},
                               {"prefill_s", usage.prefill_seconds},
                               {"decode_s", usage.decode_seconds},
                               {"tools_s", usage.tool_seconds}};
  return json.dump();
}

// Calls nobody has answered are, so that the conversation can go on.
void answer_lost_calls(std::vector<chat::Message>& messages) {
  const auto last =
      std::ranges::find(messages.rbegin(), messages.rend(), chat::Role::kAssistant, &chat::Message::role);
  if (last == messages.rend()) return;
  const auto answered = static_cast<size_t>(last - messages.rbegin());
  const std::vector<chat::ToolCall> calls = last->tool_calls;
  for (size_t i = answered; i < calls.size(); ++i)
    messages.push_back({.role = chat::Role::kTool,
                        .content = std::string(kLostResult),
                        .tool_call_id = calls[i].id,
                        .tool_name = calls[i].name});
}

// Nodes of both ways from the opening that are the same.
size_t shared_nodes(const std::vector<NodeInfo>& a, const std::vector<NodeInfo>& b) {
  const auto end = std::ranges::mismatch(a, b, {}, &NodeInfo::id, &NodeInfo::id).in1;
  return static_cast<size_t>(end - a.begin());
}

}  // namespace

Timeline::Timeline(const Workspace& workspace, SessionStore store, SessionInfo session,
                   TimelineOptions options)
    : workspace_(workspace),
      store_(std::move(store)),
      session_(std::move(session)),
      options_(std::move(options)) {}

Timeline::~Timeline() = default;

Result<std::unique_ptr<Timeline>> Timeline::open(const Workspace& workspace, SessionInfo session,
                                                 TimelineOptions options) {
  if (options.database.empty()) {
    ATELIER_TRY(options.database, SessionStore::standard_path());
  }
  if (options.journal_folder.empty()) {
    ATELIER_TRY(options.journal_folder, default_journal_folder());
  }
  ATELIER_TRY(SessionStore store, SessionStore::open(options.database));
  return std::unique_ptr<Timeline>(
      new Timeline(workspace, std::move(store), std::move(session), std::move(options)));
}

Result<std::unique_ptr<Timeline>> Timeline::begin(const Workspace& workspace, SessionInfo session,
                                                  const Transcript& opening, const TimelineOptions& options) {
  session.workspace = workspace.root().string();
  ATELIER_TRY(std::unique_ptr<Timeline> timeline, open(workspace, std::move(session), options));
  SessionInfo& made = timeline->session_;
  ATELIER_TRY(timeline->lock_, lock_session(timeline->options_.database, made.id));
  ATELIER_CHECK_OK(timeline->take_over_files());
  ATELIER_CHECK_OK(timeline->store_.create(made));
  ATELIER_CHECK_OK(timeline->add_node({.kind = NodeInfo::Kind::kOpening}, opening, &timeline->files_));
  timeline->start_scan();
  return timeline;
}

Result<std::unique_ptr<Timeline>> Timeline::resume(const Workspace& workspace, std::string_view id,
                                                   const TimelineOptions& options) {
  ATELIER_TRY(std::unique_ptr<Timeline> timeline, open(workspace, {}, options));
  ATELIER_CHECK_OK(timeline->take_over_files());
  ATELIER_CHECK_OK(timeline->take_over(id));
  timeline->start_scan();
  return timeline;
}

// The state of the workspace's files; a move that was interrupted is taken back.
Status Timeline::take_over_files() {
  const std::string root = workspace_.root().string();
  ATELIER_TRY(SessionStore::WorkspaceState state, store_.workspace(root));
  files_ = std::move(state.files);
  files_node_ = state.node;
  if (state.pending == 0) return {};
  ATELIER_TRY(const std::vector<StateChange> changes, way(state.pending, state.node));
  ATELIER_CHECK_OK(move_to(changes).map([](const MovedFiles&) {}));
  ATELIER_CHECK_OK(store_.set_files(root, files_));
  return store_.set_pending(root, 0);
}

// Makes the session `id` this one: a task that was interrupted becomes a turn, and files move if they stand
// at another place of the same conversation.
Status Timeline::take_over(std::string_view id) {
  ATELIER_TRY(SessionInfo session, store_.find(id));
  if (session.workspace != workspace_.root().string())
    return fail(ErrorCode::kInvalidArgument, "session {}: belongs to {}, not to {}", session.id,
                session.workspace, workspace_.root().string());
  ATELIER_TRY(lock_, lock_session(options_.database, session.id));
  session_ = std::move(session);
  ATELIER_CHECK_OK(load_kept());
  ATELIER_CHECK_OK(settle());
  if (files_node_ == session_.head) return {};
  ATELIER_TRY(const std::vector<NodeInfo> here, store_.path_to(files_node_));
  ATELIER_TRY(const std::vector<NodeInfo> there, store_.path_to(session_.head));
  if (shared_nodes(here, there) == 0) return {};
  return go_to(session_.head, files_node_).map([&](Move move) { arrived_ = std::move(move.files); });
}

// What the store has of the transcript at head.
Status Timeline::load_kept() {
  ATELIER_TRY(StoredTranscript transcript, store_.transcript_at(session_.head));
  kept_messages_.clear();
  for (const chat::Message& message : transcript.messages) kept_messages_.push_back(message_text(message));
  kept_ids_ = std::move(transcript.ids);
  return {};
}

Status Timeline::settle() {
  ATELIER_TRY(const std::vector<NodeInfo> path, store_.path_to(session_.head));
  if (path.empty()) return fail(ErrorCode::kCorrupt, "session {}: has no beginning", session_.id);
  interrupted_task_.clear();
  if (path.back().is_checkpoint()) return {};
  const auto task = std::ranges::find(path.rbegin(), path.rend(), NodeInfo::Kind::kTask, &NodeInfo::kind);
  task_ = task == path.rend() ? std::string() : task->task;
  ATELIER_TRY(StoredTranscript stored, store_.transcript_at(session_.head));
  answer_lost_calls(stored.messages);
  Transcript transcript;
  transcript.conversation.messages = std::move(stored.messages);
  transcript.ids = std::move(stored.ids);
  transcript.rendered = stored.rendered;
  transcript.turns = stored.turns;
  effects_ = true;
  ATELIER_CHECK_OK(close_turn(transcript, "killed", "{}"));
  interrupted_task_ = task_;
  return {};
}

Result<std::vector<NodeInfo>> Timeline::turns() const {
  ATELIER_TRY(std::vector<NodeInfo> path, store_.path_to(session_.head));
  std::erase_if(path, [](const NodeInfo& node) { return node.kind != NodeInfo::Kind::kTurn; });
  return path;
}

// --- places

Result<std::vector<StateChange>> Timeline::way(int64_t from, int64_t to) const {
  ATELIER_TRY(const std::vector<NodeInfo> back, store_.path_to(from));
  ATELIER_TRY(const std::vector<NodeInfo> forth, store_.path_to(to));
  const size_t shared = shared_nodes(back, forth);
  std::vector<StateChange> changes;
  for (size_t i = back.size(); i-- > shared;) changes = compose(changes, inverse(back[i].files));
  for (size_t i = shared; i < forth.size(); ++i) changes = compose(changes, forth[i].files);
  return changes;
}

Result<MovedFiles> Timeline::move_to(const std::vector<StateChange>& changes) {
  ATELIER_TRY(MovedFiles moved,
              move_files(
                  workspace_, changes, [&](const Sha256& digest) { return store_.content(digest); },
                  options_.journal_folder));
  ATELIER_CHECK_OK(
      files_
          .look_at(workspace_, moved.moved,
                   [&](const Sha256& digest, std::string_view bytes) { return store_.keep(digest, bytes); })
          .map([](const auto&) {}));
  return moved;
}

Result<Timeline::Move> Timeline::go_to(int64_t node, int64_t from) {
  ATELIER_CHECK_OK(finish_scan());
  ATELIER_TRY(const std::vector<StateChange> changes, way(from, node));
  Move move;
  if (!changes.empty()) {
    ATELIER_CHECK_OK(store_.set_pending(session_.workspace, node));
    ATELIER_TRY(move.files, move_to(changes));
  }
  SessionInfo moved = session_;
  moved.head = node;
  ATELIER_CHECK_OK(store_.move(moved, files_));
  session_.head = files_node_ = node;
  ATELIER_CHECK_OK(load_kept());
  ATELIER_TRY(move.transcript, transcript());
  return move;
}

Result<Timeline::Move> Timeline::undo() {
  ATELIER_TRY(const std::vector<NodeInfo> path, store_.path_to(session_.head));
  const auto before =
      std::find_if(path.rbegin() + 1, path.rend(), [](const NodeInfo& n) { return n.is_checkpoint(); });
  if (before == path.rend()) return fail(ErrorCode::kNotFound, "there is nothing to undo");
  ATELIER_TRY(Move move, go_to(before->id, session_.head));
  move.task = path.back().task;
  session_.n_turns -= std::min<size_t>(session_.n_turns, 1);
  return move;
}

Result<Timeline::Move> Timeline::redo() {
  ATELIER_TRY(const std::vector<NodeInfo> path, store_.path_to(session_.tip));
  const auto here = std::ranges::find(path, session_.head, &NodeInfo::id);
  const auto next = here == path.end() ? here : std::find_if(here + 1, path.end(), [](const NodeInfo& n) {
    return n.is_checkpoint();
  });
  if (next == path.end()) return fail(ErrorCode::kNotFound, "there is nothing to redo");
  ATELIER_TRY(Move move, go_to(next->id, session_.head));
  move.task = next->task;
  ++session_.n_turns;
  return move;
}

Status Timeline::fork() {
  SessionInfo forked = session_;
  forked.id = new_session_id();
  forked.tip = forked.head;
  ATELIER_TRY(Descriptor lock, lock_session(options_.database, forked.id));
  // Long outputs are named in the conversation; both sessions need them.
  const std::filesystem::path all = options_.database.parent_path() / "sessions";
  std::error_code none;
  std::filesystem::copy(
      all / session_.id / "output", all / forked.id / "output",
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::create_hard_links, none);
  ATELIER_CHECK_OK(store_.create(forked));
  session_ = std::move(forked);
  lock_ = std::move(lock);
  return {};
}

Result<Timeline::Move> Timeline::switch_to(std::string_view id) {
  ATELIER_CHECK_OK(finish_scan());
  ATELIER_CHECK_OK(take_over(id));
  Move move;
  move.files = std::exchange(arrived_, {});
  ATELIER_TRY(move.transcript, transcript());
  return move;
}

Result<std::vector<StateChange>> Timeline::changes_so_far() const {
  ATELIER_TRY(const std::vector<NodeInfo> path, store_.path_to(session_.head));
  std::vector<StateChange> changes;
  for (const NodeInfo& node : path) changes = compose(changes, node.files);
  return changes;
}

Result<std::vector<FileChange>> Timeline::contents(const std::vector<StateChange>& changes) const {
  const auto version = [&](const std::optional<FileState>& state) -> Result<std::optional<FileVersion>> {
    if (!state) return std::nullopt;
    ATELIER_TRY(std::string bytes, store_.content(state->digest));
    return FileVersion{std::move(bytes), static_cast<mode_t>(state->mode)};
  };
  const auto is_kept_file = [](const std::optional<FileState>& state) {
    return !state || (state->kind == FileKind::kFile && state->kept);
  };
  std::vector<FileChange> out;
  for (const StateChange& change : changes) {
    if (!is_kept_file(change.before) || !is_kept_file(change.after)) continue;
    FileChange file{.path = change.path, .before = {}, .after = {}, .moved_from = {}, .moved_to = {}};
    ATELIER_TRY(file.before, version(change.before));
    ATELIER_TRY(file.after, version(change.after));
    out.push_back(std::move(file));
  }
  return out;
}

Status Timeline::mark(const Transcript& transcript, const std::string& name) {
  task_ = name;
  effects_ = false;
  return close_turn(transcript, "marked", "{}");
}

Status Timeline::set_model(const std::string& model, const std::string& vocabulary) {
  ATELIER_CHECK_OK(store_.set_model(session_.id, model, vocabulary));
  session_.model = model;
  session_.vocabulary = vocabulary;
  return {};
}

// --- what happens

Result<Timeline::Scan> Timeline::scan(const std::filesystem::path& root,
                                      const std::filesystem::path& database, FileIndex files) {
  ATELIER_TRY(const Workspace workspace, Workspace::open(root));
  ATELIER_TRY(const SessionStore store, SessionStore::open(database));
  // Many small transactions would each wait for the disk, one large one would grow the log without bound.
  constexpr size_t kBytesPerTransaction = size_t{64} << 20;
  size_t bytes = 0;
  ATELIER_TRY(auto transaction, Transaction::begin(store.database()).map([](Transaction t) {
    return std::make_unique<Transaction>(std::move(t));
  }));
  const auto keep = [&](const Sha256& digest, std::string_view content) -> Status {
    ATELIER_CHECK_OK(store.keep(digest, content));
    bytes += content.size();
    if (bytes < kBytesPerTransaction) return {};
    bytes = 0;
    ATELIER_CHECK_OK(transaction->commit());
    ATELIER_TRY(Transaction next, Transaction::begin(store.database()));
    transaction = std::make_unique<Transaction>(std::move(next));
    return {};
  };
  Scan out{.files = std::move(files), .changes = {}};
  ATELIER_TRY(out.changes, out.files.scan(workspace, keep));
  ATELIER_CHECK_OK(transaction->commit());
  return out;
}

void Timeline::start_scan() {
  if (scanning_.valid()) return;
  scanning_ = std::async(std::launch::async, scan, workspace_.root(), options_.database, files_);
}

// The files as they are before the task does anything to them, kept in case its program is killed.
Status Timeline::finish_scan() {
  if (!scanning_.valid()) return {};
  ATELIER_TRY(Scan done, scanning_.get());
  files_ = std::move(done.files);
  if (done.changes.empty()) return {};
  return store_.set_files(session_.workspace, files_);
}

Status Timeline::add_node(NodeInfo node, const Transcript& transcript, const FileIndex* files) {
  std::vector<std::string> messages;
  for (const chat::Message& message : transcript.conversation.messages)
    messages.push_back(message_text(message));
  SessionStore::TranscriptChange change{.rendered = transcript.rendered, .turns = transcript.turns};
  change.keep_messages =
      static_cast<size_t>(std::ranges::mismatch(messages, kept_messages_).in1 - messages.begin());
  change.messages = "[";
  for (size_t i = change.keep_messages; i < messages.size(); ++i)
    change.messages += (i == change.keep_messages ? "" : ",") + messages[i];
  change.messages += "]";
  change.keep_ids =
      static_cast<size_t>(std::ranges::mismatch(transcript.ids, kept_ids_).in1 - transcript.ids.begin());
  change.ids.assign(transcript.ids.begin() + static_cast<std::ptrdiff_t>(change.keep_ids),
                    transcript.ids.end());
  ATELIER_CHECK_OK(store_.add(session_, node, change, files));
  if (files != nullptr) files_node_ = session_.head;
  kept_messages_ = std::move(messages);
  kept_ids_ = transcript.ids;
  return {};
}

Status Timeline::on_task(const Transcript& transcript, const std::string& task) {
  task_ = task;
  effects_ = false;
  tool_paths_.clear();
  interrupted_task_.clear();
  // What the user changed since the last look is the user's own.
  ATELIER_CHECK_OK(finish_scan());
  start_scan();
  return add_node({.kind = NodeInfo::Kind::kTask, .task = task}, transcript, nullptr);
}

Status Timeline::on_step(const Transcript& transcript) {
  return add_node({.kind = NodeInfo::Kind::kStep}, transcript, nullptr);
}

Status Timeline::before_effects() {
  effects_ = true;
  return finish_scan();
}

Status Timeline::on_changes(std::span<const FileChange> changes) {
  for (const FileChange& change : changes) {
    tool_paths_.push_back(change.path);
    if (!change.before || files_.find(change.path)) continue;
    // Left out by .gitignore: now it is known what stood there.
    const FileState state{.mode = static_cast<uint32_t>(change.before->mode.value_or(0644)),
                          .digest = sha256(change.before->content)};
    ATELIER_CHECK_OK(store_.keep(state.digest, change.before->content));
    files_.remember(change.path, state);
  }
  return {};
}

Status Timeline::on_end(const Transcript& transcript, const TaskEnd& end) {
  return close_turn(transcript, std::string(task_end_name(end.kind)), usage_text(end.usage));
}

Status Timeline::close_turn(const Transcript& transcript, std::string end, std::string usage) {
  NodeInfo node{
      .kind = NodeInfo::Kind::kTurn, .task = task_, .end = std::move(end), .usage = std::move(usage)};
  FileIndex files;
  if (effects_) {
    ATELIER_TRY(Scan now, scan(workspace_.root(), options_.database, files_));
    ATELIER_TRY(const std::vector<StateChange> ignored,
                now.files.look_at(workspace_, tool_paths_, [&](const Sha256& digest, std::string_view bytes) {
                  return store_.keep(digest, bytes);
                }));
    node.files = compose(now.changes, ignored);
    files = std::move(now.files);
  } else {
    ATELIER_CHECK_OK(finish_scan());
    files = files_;
  }
  ATELIER_CHECK_OK(add_node(std::move(node), transcript, &files));
  files_ = std::move(files);
  return {};
}

}  // namespace atelier::agent
