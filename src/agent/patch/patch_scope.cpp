#include "agent/patch/patch_scope.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "io/sha256.h"

namespace atelier::agent {
namespace {

// Of the files offered line by line: shorter lines take more of a grammar than their bytes.
constexpr size_t kBytesPerLine = 32;
constexpr size_t kMaxNames = 4096;  // in a folder that files are added to

struct CloseListing {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Every name in it; nothing where it cannot be read or has too many.
std::optional<std::vector<std::string>> names_in(const Workspace& workspace, const std::string& folder) {
  auto fd = workspace.open_path(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return std::nullopt;
  const std::unique_ptr<DIR, CloseListing> listing(::fdopendir(::dup(fd->get())));
  if (!listing) return std::nullopt;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == kMaxNames) return std::nullopt;
    names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

size_t count_lines(std::string_view text) { return static_cast<size_t>(std::ranges::count(text, '\n')) + 1; }

bool begins_as_binary(const Workspace& workspace, const std::string& path) {
  const auto fd = workspace.open_path(path, O_RDONLY);
  if (!fd) return true;
  char bytes[8192];
  const ssize_t n = ::pread(fd->get(), bytes, sizeof bytes, 0);
  return n < 0 || std::memchr(bytes, 0, static_cast<size_t>(n)) != nullptr;
}

}  // namespace

PatchScope patch_scope(const Workspace& workspace, std::span<const std::string> seen,
                       const PatchScopeOptions& options) {
  PatchScope scope;
  size_t bytes = 0, lines = 0;
  std::set<std::string> folders = {""};
  for (const std::string& path : seen) {
    if (scope.files.size() == options.max_files) break;
    auto content = workspace.read(path, options.max_bytes - bytes);
    const size_t more_lines = content ? count_lines(content->bytes) : 0;
    const bool bound = content && lines + more_lines <= options.max_bytes / kBytesPerLine;
    if (!content && (content.error().code != ErrorCode::kLimit || begins_as_binary(workspace, path)))
      continue;
    if (!is_patchable(path, content ? content->bytes : "")) continue;
    if (bound) bytes += content->bytes.size(), lines += more_lines;
    for (std::string folder = parent_of(path);; folder = parent_of(folder)) {
      if (folders.size() < options.max_folders) folders.insert(folder);
      if (folder.empty()) break;
    }
    scope.files.push_back({path, bound ? std::move(content->bytes) : std::string(), bound});
  }
  std::ranges::sort(scope.files, {}, &PatchableFile::path);
  for (const std::string& folder : folders)
    if (auto names = names_in(workspace, folder); names && is_patchable(folder.empty() ? "." : folder, ""))
      scope.folders.push_back({folder, std::move(*names)});
  return scope;
}

std::string scope_key(const PatchScope& scope) {
  std::string all;
  const auto add = [&all](const std::string& text) {
    all += std::to_string(text.size());
    all += ':';
    all += text;
  };
  for (const PatchableFile& file : scope.files) {
    add(file.path);
    add(file.bound ? "bound" : "free");
    add(file.content);
  }
  for (const PatchableFolder& folder : scope.folders) {
    add(folder.path);
    for (const std::string& name : folder.names) add(name);
  }
  return hex(sha256(all));
}

}  // namespace atelier::agent
