#include "agent/context/git_status.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <vector>

#include "agent/tools/file_walk.h"
#include "agent/tools/output_text.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr size_t kMaxListed = 20;
constexpr size_t kMaxFiles = 50'000;

struct IndexEntry {
  uint32_t modified_s = 0;
  uint32_t size = 0;  // modulo 2^32
};

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// The index of versions 2 and 3 (gitformat-index(5)); nothing for others and for damaged ones.
std::optional<std::map<std::string, IndexEntry>> read_index(std::string_view bytes) {
  constexpr size_t kFixed = 62;  // bytes of an entry before its name
  if (bytes.size() < 12 || !bytes.starts_with("DIRC")) return std::nullopt;
  const uint32_t version = big_endian(bytes, 4), n = big_endian(bytes, 8);
  if (version != 2 && version != 3) return std::nullopt;
  std::map<std::string, IndexEntry> entries;
  size_t at = 12;
  for (uint32_t i = 0; i < n; ++i) {
    if (at + kFixed > bytes.size()) return std::nullopt;
    const bool extended = (static_cast<unsigned char>(bytes[at + 60]) & 0x40) != 0;
    const size_t name = at + kFixed + (extended ? 2 : 0);
    const size_t end = bytes.find('\0', name);
    if (end == std::string_view::npos) return std::nullopt;
    entries[std::string(bytes.substr(name, end - name))] = {big_endian(bytes, at + 8),
                                                            big_endian(bytes, at + 36)};
    at += ((end - at) / 8 + 1) * 8;  // one to eight zeros, to a multiple of eight
  }
  return entries;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

// "Branch main at 1a2b3c4d."
std::string head_line(const std::filesystem::path& git) {
  constexpr size_t kMax = 4096;
  const Result<std::string> head = read_file(git / "HEAD", kMax);
  if (!head) return {};
  const std::string text = trimmed(*head);
  constexpr std::string_view kRef = "ref: refs/heads/";
  if (!text.starts_with(kRef)) return fmt::format("Detached at {}.\n", plain_text(text.substr(0, 8)));
  const std::string branch = text.substr(kRef.size());
  if (branch.find("..") != std::string::npos) return {};
  const Result<std::string> commit = read_file(git / "refs/heads" / branch, kMax);
  const std::string at = commit ? " at " + plain_text(trimmed(*commit).substr(0, 8)) : "";
  return fmt::format("Branch {}{}.\n", plain_text(branch), at);
}

std::string changes(const Workspace& workspace, const std::map<std::string, IndexEntry>& index,
                    const std::string& prefix) {
  std::string text;
  size_t listed = 0, more = 0;
  const auto add = [&](std::string_view what, const std::string& path) {
    if (listed < kMaxListed) {
      text += fmt::format("{} {}\n", what, path);
      ++listed;
    } else {
      ++more;
    }
  };
  std::vector<std::string> seen;
  const auto walked = walk_files(workspace, {.max_entries = kMaxFiles}, [&](const WalkEntry& entry) {
    if (entry.kind != WalkEntry::Kind::kFile) return Walk::kOn;
    const auto known = index.find(prefix + entry.path);
    if (known == index.end()) {
      add("?", entry.path);
    } else {
      seen.push_back(known->first);
      const bool same = known->second.size == static_cast<uint32_t>(entry.info.st_size) &&
                        known->second.modified_s == static_cast<uint32_t>(entry.info.st_mtim.tv_sec);
      if (!same) add("M", entry.path);
    }
    return Walk::kOn;
  });
  if (!walked || !*walked) return {};
  std::ranges::sort(seen);
  for (const auto& [path, entry] : index) {
    if (!path.starts_with(prefix) || std::ranges::binary_search(seen, path)) continue;
    struct stat info{};
    if (::lstat((workspace.root() / path.substr(prefix.size())).c_str(), &info) != 0)
      add("D", plain_text(path.substr(prefix.size())));
  }
  if (more > 0) text += fmt::format("and {} more\n", more);
  return text;
}

}  // namespace

std::optional<std::filesystem::path> repository_root(const std::filesystem::path& folder) {
  std::error_code failed;
  for (std::filesystem::path at = folder;; at = at.parent_path()) {
    const auto type = std::filesystem::symlink_status(at / ".git", failed).type();
    if (type == std::filesystem::file_type::directory || type == std::filesystem::file_type::regular)
      return at;
    if (at == at.parent_path()) return std::nullopt;
  }
}

std::string git_status(const Workspace& workspace) {
  const auto root = repository_root(workspace.root());
  if (!root) return {};
  std::filesystem::path git = *root / ".git";
  std::error_code failed;
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(git, failed))) return {};
  std::string text = head_line(git);
  const Result<std::string> bytes = read_file(git / "index", kMaxIndexBytes);
  if (!bytes) return text;
  const auto index = read_index(*bytes);
  if (!index) return text;
  std::string prefix = workspace.root().lexically_relative(*root).string();
  prefix = prefix == "." ? "" : prefix + "/";
  const std::string changed = changes(workspace, *index, prefix);
  return text + (changed.empty() ? "No changes.\n" : "Changed since the last commit or add:\n" + changed);
}

}  // namespace atelier::agent
