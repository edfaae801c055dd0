#include "agent/sandbox/git_folders.h"

#include <algorithm>
#include <deque>

#include "agent/workspace/paths.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxDepth = 4;
constexpr size_t kMaxFolders = 20'000;
constexpr size_t kMaxPointerBytes = 8192;

// "gitdir: PATH" of a .git file, or PATH of a commondir file; relative to `folder`.
std::filesystem::path pointed_to(const std::filesystem::path& file, const std::filesystem::path& folder,
                                 std::string_view prefix) {
  const auto content = read_file(file, kMaxPointerBytes);
  if (!content || !content->starts_with(prefix)) return {};
  std::string target = content->substr(prefix.size());
  while (!target.empty() && (target.back() == '\n' || target.back() == '\r')) target.pop_back();
  std::error_code code;
  const std::filesystem::path path = std::filesystem::canonical(folder / std::filesystem::path(target), code);
  return code ? std::filesystem::path() : path;
}

class Finder {
 public:
  Finder(const std::filesystem::path& folder, const std::vector<std::filesystem::path>& writable)
      : writable_(writable) {
    search(folder);
  }
  std::vector<std::string> take() { return std::move(found_); }

 private:
  void search(const std::filesystem::path& top) {
    struct Level {
      std::filesystem::path path;
      size_t depth;
    };
    std::deque<Level> folders = {{top, 0}};
    for (size_t n = 0; !folders.empty() && n < kMaxFolders; ++n) {
      const Level level = std::move(folders.front());
      folders.pop_front();
      look(level.path, level.depth > 0);
      if (level.depth == kMaxDepth) continue;
      std::error_code code;
      for (auto at = std::filesystem::directory_iterator(
               level.path, std::filesystem::directory_options::skip_permission_denied, code);
           !code && at != std::filesystem::directory_iterator(); at.increment(code)) {
        std::error_code ignored;
        const std::string name = at->path().filename().string();
        if (name != ".git" && name != "node_modules" &&
            at->symlink_status(ignored).type() == std::filesystem::file_type::directory)
          folders.push_back({at->path(), level.depth + 1});
      }
    }
  }

  void look(const std::filesystem::path& folder, bool nested) {
    const std::filesystem::path git = folder / ".git";
    std::error_code code;
    const std::filesystem::file_type type = std::filesystem::symlink_status(git, code).type();
    if (nested &&
        (type == std::filesystem::file_type::directory || type == std::filesystem::file_type::regular))
      found_.push_back(git.string());
    if (type != std::filesystem::file_type::regular) return;
    const std::filesystem::path git_folder = pointed_to(git, folder, "gitdir: ");
    if (git_folder.empty()) return;
    add(git_folder);
    if (const std::filesystem::path common = pointed_to(git_folder / "commondir", git_folder, "");
        !common.empty())
      add(common);
  }

  void add(const std::filesystem::path& path) {
    const bool inside =
        std::any_of(writable_.begin(), writable_.end(), [&](const std::filesystem::path& folder) {
          return path != folder && lies_in(path.native(), folder.native());
        });
    if (inside) found_.push_back(path.string());
  }

  const std::vector<std::filesystem::path>& writable_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> git_folders(const std::filesystem::path& folder,
                                     const std::vector<std::filesystem::path>& writable) {
  return Finder(folder, writable).take();
}

}  // namespace atelier::agent
