#include "agent/workspace/workspace.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "agent/workspace/quote.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxNameBytes = 4096;  // PATH_MAX
// What every descriptor gets. O_NONBLOCK: opening a FIFO must not wait for its other end.
constexpr int kAlways = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

bool has_control(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// `path` is `folder` or below it: what remains.
bool strip_folder(std::string_view& path, std::string_view folder) {
  if (!path.starts_with(folder)) return false;
  if (path.size() > folder.size() && path[folder.size()] != '/' && !folder.ends_with('/')) return false;
  path.remove_prefix(folder.size());
  return true;
}

}  // namespace

std::string parent_of(const std::string& relative) {
  const size_t slash = relative.rfind('/');
  return slash == std::string::npos ? std::string() : relative.substr(0, slash);
}

std::string name_of(const std::string& relative) {
  const size_t slash = relative.rfind('/');
  return slash == std::string::npos ? relative : relative.substr(slash + 1);
}

Result<Workspace> Workspace::open(const std::filesystem::path& root, FileOps& ops) {
  std::error_code code;
  const std::filesystem::path canonical = std::filesystem::canonical(root, code);
  if (code) return tl::unexpected<Error>(errno_error(root, code.value()));
  Descriptor fd(ops.open(AT_FDCWD, canonical.c_str(), O_RDONLY | O_DIRECTORY | kAlways, 0));
  if (fd.get() < 0 && errno == ENOTDIR)
    return fail(ErrorCode::kInvalidArgument, "{}: expected a folder, found a file", root.string());
  if (fd.get() < 0) return tl::unexpected<Error>(errno_error(root, errno));
  Workspace workspace(canonical, std::move(fd), ops);
  workspace.named_ = std::filesystem::absolute(root, code).lexically_normal();
  const Descriptor probe(ops.open_beneath(workspace.fd(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
  // Container runtimes of some years answer EPERM to calls their filter does not know.
  if (probe.get() < 0 && (errno == ENOSYS || errno == EPERM)) workspace.resolver_ = Resolver::kWalk;
  return workspace;
}

Result<std::string> Workspace::normalise(std::string_view name, std::string_view folder) const {
  if (name.empty()) return fail(ErrorCode::kInvalidArgument, "expected a file name, found nothing");
  if (name.size() > kMaxNameBytes)
    return fail(ErrorCode::kLimit, "{}: file names may have {} bytes, found {}", in_quotes(name),
                kMaxNameBytes, name.size());
  if (has_control(name) || !is_utf8(name))
    return fail(ErrorCode::kInvalidArgument, "{}: a file name must be UTF-8 without control characters",
                in_quotes(name));
  std::string_view rest = name;
  const bool absolute = rest.starts_with('/');
  if (absolute && !strip_folder(rest, root_.native()) && !strip_folder(rest, named_.native()))
    return fail(ErrorCode::kInvalidArgument, "{}: outside of the workspace {}", name, root_.string());
  std::vector<std::string_view> parts;
  const auto add = [&parts](std::string_view path) {
    for (size_t at = 0; at <= path.size();) {
      const size_t end = std::min(path.find('/', at), path.size());
      const std::string_view part = path.substr(at, end - at);
      at = end + 1;
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
      } else if (parts.empty()) {
        return false;
      } else {
        parts.pop_back();
      }
    }
    return true;
  };
  if ((!absolute && !add(folder)) || !add(rest))
    return fail(ErrorCode::kInvalidArgument, "{}: outside of the workspace {}", name, root_.string());
  std::string joined;
  for (const std::string_view part : parts) {
    if (!joined.empty()) joined += '/';
    joined += part;
  }
  return joined;
}

Result<std::string> Workspace::relative(std::string_view name, std::string_view folder) const {
  ATELIER_TRY(std::string path, normalise(name, folder));
  if (path.empty() || name.ends_with('/'))
    return fail(ErrorCode::kInvalidArgument, "{}: expected the name of a file, found a folder", name);
  return path;
}

Result<std::string> Workspace::relative_folder(std::string_view name) const { return normalise(name, {}); }

Error Workspace::error(std::string_view relative, int error_number) const {
  if (error_number == ELOOP || error_number == EXDEV)
    return {ErrorCode::kInvalidArgument,
            fmt::format("{}: is, or is reached through, a symbolic link; those are not followed", relative)};
  if (error_number == ENOTDIR)
    return {ErrorCode::kInvalidArgument, fmt::format("{}: a file stands where a folder should", relative)};
  return {error_number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
          fmt::format("{}: {}", relative, std::generic_category().message(error_number))};
}

// Each component is opened without following links, from the folder before it. A folder that is renamed
// meanwhile stays the folder it is.
int Workspace::walk(const std::string& relative, int flags, mode_t mode) const {
  Descriptor at;
  int folder = fd_.get();
  for (size_t begin = 0;;) {
    const size_t slash = relative.find('/', begin);
    const std::string part = relative.substr(begin, slash - begin);
    if (slash == std::string::npos) {
      const int fd = ops_->open(folder, part.c_str(), flags | O_NOFOLLOW, mode);
      struct stat info{};
      // With O_PATH a symbolic link is opened itself; with O_DIRECTORY the error hides what it is.
      if (fd >= 0 && (flags & O_PATH) != 0 && ops_->fstat(fd, &info) == 0 && S_ISLNK(info.st_mode)) {
        ::close(fd);
        errno = ELOOP;
        return -1;
      }
      if (fd < 0 && errno == ENOTDIR && ops_->lstat(folder, part.c_str(), &info) == 0)
        errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
      return fd;
    }
    Descriptor next(ops_->open(folder, part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0));
    if (next.get() < 0) {
      struct stat info{};
      if (errno == ENOTDIR && ops_->lstat(folder, part.c_str(), &info) == 0)
        errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
      return -1;
    }
    at = std::move(next);
    folder = at.get();
    begin = slash + 1;
  }
}

Result<Descriptor> Workspace::open_path(const std::string& relative, int flags, mode_t mode) const {
  const int all = flags | ((flags & O_PATH) != 0 ? O_CLOEXEC : kAlways);
  int fd = -1;
  if (relative.empty()) {
    fd = ops_->open(fd_.get(), ".", all, mode);
  } else if (resolver_ == Resolver::kKernel) {
    fd = ops_->open_beneath(fd_.get(), relative.c_str(), all, mode);
  } else {
    fd = walk(relative, all, mode);
  }
  if (fd < 0) return tl::unexpected<Error>(error(relative, errno));
  return Descriptor(fd);
}

Result<Descriptor> Workspace::open_parent(const std::string& relative) const {
  return open_path(parent_of(relative), O_RDONLY | O_DIRECTORY);
}

Result<Workspace::Content> Workspace::read(const std::string& relative, size_t max_bytes) const {
  ATELIER_TRY(const Descriptor fd, open_path(relative, O_RDONLY));
  Content content;
  if (ops_->fstat(fd.get(), &content.info) != 0) return tl::unexpected<Error>(error(relative, errno));
  if (S_ISDIR(content.info.st_mode))
    return fail(ErrorCode::kInvalidArgument, "{}: expected a file, found a folder", relative);
  if (!S_ISREG(content.info.st_mode))
    return fail(ErrorCode::kInvalidArgument, "{}: expected a regular file, found a device, FIFO or socket",
                relative);
  const auto size = static_cast<size_t>(content.info.st_size);
  if (size > max_bytes)
    return fail(ErrorCode::kLimit, "{}: expected at most {} bytes, found {}", relative, max_bytes, size);
  content.bytes.resize(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ops_->read(fd.get(), content.bytes.data() + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected<Error>(error(relative, errno));
    if (got == 0) return fail(ErrorCode::kIo, "{}: became shorter while it was read", relative);
    have += static_cast<size_t>(got);
  }
  return content;
}

}  // namespace atelier::agent
