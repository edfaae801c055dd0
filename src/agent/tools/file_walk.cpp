#include "agent/tools/file_walk.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "agent/tools/ignore_rules.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxIgnoreBytes = size_t{1} << 20;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

bool is_nameable(std::string_view name) {
  return is_utf8(name) && std::ranges::none_of(name, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
}

class Walker {
 public:
  Walker(const Workspace& workspace, const WalkOptions& options,
         const std::function<Walk(const WalkEntry&)>& visit)
      : workspace_(workspace), options_(options), visit_(visit) {}

  Result<bool> walk() {
    if (!options_.ignored_too) {  // rules of the folders above the one walked
      for (size_t at = 0; !options_.folder.empty() && at != std::string::npos;) {
        add_rules(at == 0 ? "" : options_.folder.substr(0, at));
        at = options_.folder.find('/', at + 1);
      }
    }
    ATELIER_TRY(Descriptor folder, open(options_.folder));
    enter(std::move(folder), options_.folder, 1);
    return !full_;
  }

 private:
  Result<Descriptor> open(const std::string& path) const {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if (!path.empty()) return workspace_.open_path(path, O_RDONLY | O_DIRECTORY);
    const int fd = ::openat(workspace_.fd(), ".", kFlags);
    if (fd < 0) return tl::unexpected<Error>(workspace_.error(".", errno));
    return Descriptor(fd);
  }

  bool add_rules(const std::string& folder) {
    const auto file =
        workspace_.read(folder.empty() ? ".gitignore" : folder + "/.gitignore", kMaxIgnoreBytes);
    if (!file) return false;
    rules_.emplace_back(folder, file->bytes);
    return true;
  }

  bool ignored(const std::string& path, bool is_folder) const {
    for (size_t i = rules_.size(); i-- > 0;) {
      const IgnoreRules::Verdict verdict = rules_[i].judge(path, is_folder);
      if (verdict != IgnoreRules::Verdict::kNone) return verdict == IgnoreRules::Verdict::kIgnored;
    }
    return false;
  }

  // False once the walk is over.
  bool enter(Descriptor fd, const std::string& path, size_t depth) {
    const OpenFolder folder(::fdopendir(::dup(fd.get())));
    if (!folder) return true;
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      const bool self = name == "." || name == "..";
      if (self || name == ".git" || (!options_.hidden && name[0] == '.') || !is_nameable(name)) continue;
      names.emplace_back(name);
    }
    std::ranges::sort(names);
    const bool has_rules = !options_.ignored_too && std::ranges::binary_search(names, ".gitignore");
    const bool added = has_rules && add_rules(path);
    bool on = true;
    for (const std::string& name : names)
      if (on) on = visit_one(fd, path, name, depth);
    if (added) rules_.pop_back();
    return on;
  }

  bool visit_one(const Descriptor& folder, const std::string& path, const std::string& name, size_t depth) {
    WalkEntry entry;
    if (::fstatat(folder.get(), name.c_str(), &entry.info, AT_SYMLINK_NOFOLLOW) != 0) return true;
    entry.path = path.empty() ? name : path + "/" + name;
    entry.depth = depth;
    const mode_t type = entry.info.st_mode & S_IFMT;
    entry.kind = type == S_IFREG   ? WalkEntry::Kind::kFile
                 : type == S_IFDIR ? WalkEntry::Kind::kFolder
                 : type == S_IFLNK ? WalkEntry::Kind::kLink
                                   : WalkEntry::Kind::kOther;
    const bool is_folder = entry.kind == WalkEntry::Kind::kFolder;
    if (!options_.ignored_too && ignored(entry.path, is_folder)) return true;
    if (++visited_ > options_.max_entries) {
      full_ = true;
      return false;
    }
    const Walk next = visit_(entry);
    if (next == Walk::kEnd) return false;
    if (!is_folder || next == Walk::kSkip || depth >= options_.max_depth) return true;
    const int fd = ::openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || enter(Descriptor(fd), entry.path, depth + 1);
  }

  const Workspace& workspace_;
  const WalkOptions& options_;
  const std::function<Walk(const WalkEntry&)>& visit_;
  std::vector<IgnoreRules> rules_;
  size_t visited_ = 0;
  bool full_ = false;
};

}  // namespace

Result<bool> walk_files(const Workspace& workspace, const WalkOptions& options,
                        const std::function<Walk(const WalkEntry&)>& visit) {
  return Walker(workspace, options, visit).walk();
}

}  // namespace atelier::agent
