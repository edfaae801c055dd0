#include "agent/session/state_json.h"

#include <array>

#include "chat/json_text.h"

namespace atelier::agent {
namespace {

constexpr std::array<std::string_view, 3> kKinds = {"file", "link", "folder"};

chat::Json state_json(const FileState& state) {
  chat::Json json = {{"kind", kKinds[static_cast<size_t>(state.kind)]}};
  if (state.kind == FileKind::kFile) json["mode"] = state.mode;
  if (state.kind != FileKind::kFolder) json["sha256"] = hex(state.digest);
  if (!state.kept) json["kept"] = false;
  return json;
}

int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool read_hex(std::string_view text, Sha256& digest) {
  if (text.size() != 2 * digest.size()) return false;
  for (size_t i = 0; i < digest.size(); ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    digest[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

Result<std::optional<FileState>> state_from(const chat::Json* json) {
  if (json == nullptr) return std::nullopt;
  FileState state;
  const std::string *kind = chat::string_member(*json, "kind"),
                    *digest = chat::string_member(*json, "sha256");
  const auto* known = kind == nullptr ? kKinds.end() : std::ranges::find(kKinds, *kind);
  if (known == kKinds.end() || (digest != nullptr && !read_hex(*digest, state.digest)))
    return fail(ErrorCode::kCorrupt, "session: expected the state of a file, found something else");
  state.kind = static_cast<FileKind>(known - kKinds.begin());
  if (const chat::Json* mode = chat::member(*json, "mode"); mode != nullptr && mode->is_number_unsigned())
    state.mode = mode->get<uint32_t>() & 07777;
  state.kept = chat::member(*json, "kept") == nullptr;
  return state;
}

}  // namespace

std::string state_changes_text(const std::vector<StateChange>& changes) {
  chat::Json list = chat::Json::array();
  for (const StateChange& change : changes) {
    chat::Json& added = list.emplace_back(chat::Json{{"path", change.path}});
    if (change.before) added["before"] = state_json(*change.before);
    if (change.after) added["after"] = state_json(*change.after);
  }
  return list.dump();
}

Result<std::vector<StateChange>> state_changes_from(std::string_view text) {
  // Not parse_json(): its limits are for what others wrote.
  const chat::Json list = chat::Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return fail(ErrorCode::kCorrupt, "session: expected a list of files, found none");
  std::vector<StateChange> changes;
  for (const chat::Json& json : list) {
    const std::string* path = chat::string_member(json, "path");
    if (path == nullptr) return fail(ErrorCode::kCorrupt, "session: expected a path, found none");
    StateChange& change = changes.emplace_back(StateChange{*path, {}, {}});
    ATELIER_TRY(change.before, state_from(chat::member(json, "before")));
    ATELIER_TRY(change.after, state_from(chat::member(json, "after")));
  }
  return changes;
}

}  // namespace atelier::agent
