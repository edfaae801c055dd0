// The folder an agent works in, and the one way from a name to a file in it.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "agent/workspace/file_ops.h"
#include "base/descriptor.h"
#include "base/result.h"

namespace atelier::agent {

// How names are resolved beneath the root. Both refuse symbolic links anywhere on the way and at the end.
enum class Resolver {
  kKernel,  // openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), Linux 5.6
  kWalk,    // one O_NOFOLLOW step a component
};

// Names come from models, patches and users and are never trusted: what resolves lies below root() and was
// reached through folders only. Not for use by several threads at once.
class Workspace {
 public:
  // Errors: kNotFound; kInvalidArgument for what is not a folder. `ops` must outlive the workspace.
  static Result<Workspace> open(const std::filesystem::path& root, FileOps& ops = system_file_ops());

  // Absolute and without symbolic links.
  const std::filesystem::path& root() const { return root_; }
  int fd() const { return fd_.get(); }
  FileOps& ops() const { return *ops_; }
  Resolver resolver() const { return resolver_; }
  void set_resolver(Resolver resolver) { resolver_ = resolver; }

  // The form of `name` that the functions below take: relative to root(), without ".", ".." and empty
  // components. `name` may be relative (to `folder`, itself in this form), or absolute and below root().
  // kInvalidArgument: empty, above root(), root() itself, longer than 4,096 bytes, not UTF-8, or with control
  // characters.
  Result<std::string> relative(std::string_view name, std::string_view folder = {}) const;
  // The same for a folder, which may be root() itself: then it is empty.
  Result<std::string> relative_folder(std::string_view name) const;

  // open(2) beneath root(). O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added. Errors: kNotFound; kInvalidArgument
  // where a symbolic link stands on the way, or a file where a folder should; kIo.
  Result<Descriptor> open_path(const std::string& relative, int flags, mode_t mode = 0) const;
  // The folder that holds `relative`.
  Result<Descriptor> open_parent(const std::string& relative) const;

  // The content of a regular file. Errors: those of open_path; kInvalidArgument for anything but a regular
  // file; kLimit past `max_bytes`.
  struct Content {
    std::string bytes;
    struct stat info{};
  };
  Result<Content> read(const std::string& relative, size_t max_bytes) const;

  // "src/a.cpp: Permission denied".
  Error error(std::string_view relative, int error_number) const;

 private:
  Workspace(std::filesystem::path root, Descriptor fd, FileOps& ops)
      : root_(std::move(root)), fd_(std::move(fd)), ops_(&ops) {}
  Result<std::string> normalise(std::string_view name, std::string_view folder) const;
  int walk(const std::string& relative, int flags, mode_t mode) const;

  std::filesystem::path root_, named_;  // named_: as the caller wrote it, made absolute
  Descriptor fd_;
  FileOps* ops_;
  Resolver resolver_ = Resolver::kKernel;
};

// The folder and the name in it: "src", "a.cpp".
std::string parent_of(const std::string& relative);
std::string name_of(const std::string& relative);

}  // namespace atelier::agent
