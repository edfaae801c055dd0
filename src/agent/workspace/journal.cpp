#include "agent/workspace/journal.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/file.h"

namespace atelier::agent {
namespace {

using nlohmann::json;
constexpr int kVersion = 1;
constexpr size_t kMaxJournalBytes = size_t{16} << 20;

// FNV-1a of 128 bits: a name for any path, with no two workspaces meeting by accident.
std::string digest(std::string_view text) {
  using u128 = unsigned __int128;
  u128 hash = (u128{0x6c62272e07bb0142} << 64) | 0x62b821756295c58d;
  const u128 prime = (u128{0x0000000001000000} << 64) | 0x13b;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= prime;
  }
  return fmt::format("{:016x}{:016x}", static_cast<uint64_t>(hash >> 64), static_cast<uint64_t>(hash));
}

json to_json(const std::optional<FileIdentity>& file) {
  if (!file) return nullptr;
  return {file->inode, file->size, file->modified_ns};
}

std::optional<FileIdentity> identity_from(const json& value) {
  if (value.is_null()) return std::nullopt;
  return FileIdentity{value.at(0).get<uint64_t>(), value.at(1).get<int64_t>(), value.at(2).get<int64_t>()};
}

Journal journal_from(const json& value) {
  Journal journal;
  journal.root = value.at("root").get<std::string>();
  if (value.at("state").get<std::string>() == "ready") journal.stage = Journal::Stage::kReady;
  journal.folders = value.at("folders").get<std::vector<std::string>>();
  for (const json& entry : value.at("entries"))
    journal.entries.push_back({entry.at("path").get<std::string>(), entry.at("staged").get<std::string>(),
                               entry.at("old").get<std::string>(), identity_from(entry.at("before")),
                               identity_from(entry.at("after"))});
  return journal;
}

std::string to_text(const Journal& journal) {
  json entries = json::array();
  for (const JournalEntry& entry : journal.entries)
    entries.push_back({{"path", entry.path},
                       {"staged", entry.staged},
                       {"old", entry.old},
                       {"before", to_json(entry.before)},
                       {"after", to_json(entry.after)}});
  const json value = {{"version", kVersion},
                      {"root", journal.root},
                      {"state", journal.stage == Journal::Stage::kStaging ? "staging" : "ready"},
                      {"folders", journal.folders},
                      {"entries", std::move(entries)}};
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

FileIdentity identity_of(const struct stat& info) {
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Result<std::filesystem::path> default_journal_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::filesystem::path(state) / "atelier" / "edits";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/')
    return std::filesystem::path(home) / ".local" / "state" / "atelier" / "edits";
  return fail(ErrorCode::kNotFound,
              "no home folder for the journal that makes edits atomic: set HOME or XDG_STATE_HOME");
}

JournalFile::JournalFile(const std::filesystem::path& folder, const Workspace& workspace)
    : ops_(workspace.ops()),
      folder_(folder),
      path_(folder / (digest(workspace.root().native()) + ".json")),
      name_(path_.filename().string()),
      made_name_(name_ + ".made") {}

Result<std::optional<Journal>> JournalFile::load() const {
  for (const bool made : {true, false}) {
    const std::filesystem::path path = made ? folder_ / made_name_ : path_;
    const auto text = read_file(path, kMaxJournalBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) continue;
    if (!text) return tl::unexpected<Error>(text.error());
    try {
      const json value = json::parse(*text);
      if (value.at("version").get<int>() == kVersion) {
        Journal journal = journal_from(value);
        if (made) journal.stage = Journal::Stage::kMade;
        return journal;
      }
    } catch (const json::exception&) {  // the library's only way to say so; reported below
    }
    return fail(ErrorCode::kCorrupt, "{}: expected the journal of an interrupted edit; remove it to go on",
                path.string());
  }
  return std::nullopt;
}

Result<Descriptor> JournalFile::open_folder() const {
  Descriptor fd(ops_.open(AT_FDCWD, folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (fd.get() < 0) return tl::unexpected<Error>(errno_error(folder_, errno));
  return fd;
}

Status JournalFile::store(const Journal& journal) const {
  std::error_code code;
  const bool made = std::filesystem::create_directories(folder_, code);
  if (code) return tl::unexpected<Error>(errno_error(folder_, code.value()));
  if (made) ATELIER_CHECK_OK(sync_folder(folder_.parent_path()));
  ATELIER_TRY(const Descriptor folder, open_folder());
  const auto failed = [&] { return tl::unexpected<Error>(errno_error(path_, errno)); };
  const std::string draft = name_ + ".new";
  Descriptor fd(
      ops_.open(folder.get(), draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return failed();
  const std::string text = to_text(journal);
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ops_.write(fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed();
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (ops_.fsync(fd.get()) != 0) return failed();
  if (ops_.rename(folder.get(), draft.c_str(), folder.get(), name_.c_str(), 0) != 0) return failed();
  if (ops_.fsync(folder.get()) != 0) return failed();
  return {};
}

Status JournalFile::mark_made() const {
  ATELIER_TRY(const Descriptor folder, open_folder());
  if (ops_.rename(folder.get(), name_.c_str(), folder.get(), made_name_.c_str(), 0) != 0)
    return tl::unexpected<Error>(errno_error(path_, errno));
  return {};
}

Status JournalFile::remove() const {
  ATELIER_TRY(const Descriptor folder, open_folder());
  for (const std::string& name : {name_, made_name_})
    if (ops_.unlink(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT)
      return tl::unexpected<Error>(errno_error(folder_ / name, errno));
  if (ops_.fsync(folder.get()) != 0) return tl::unexpected<Error>(errno_error(path_, errno));
  return {};
}

}  // namespace atelier::agent
