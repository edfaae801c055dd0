#include "agent/patch/plan.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "agent/patch/edit_file.h"
#include "agent/patch/text_file.h"
#include "agent/workspace/transaction.h"

namespace atelier::agent {
namespace {

constexpr mode_t kPermissions = 07777;

Error at_section(const Section& section, Error error) {
  error.message += fmt::format(" (section at patch line {})", section.line);
  return error;
}

class Planner {
 public:
  Planner(const Workspace& workspace, std::string_view folder) : workspace_(workspace), folder_(folder) {}

  Status add(const Section& section) {
    switch (section.kind) {
      case Section::Kind::kAdd:
        return add_file(section);
      case Section::Kind::kDelete:
        return delete_file(section);
      case Section::Kind::kUpdate:
        return update_file(section);
    }
    return {};
  }

  std::vector<FileChange> finish() {
    std::vector<FileChange> changes;
    for (FileChange& change : files_) {
      const bool same = change.before && change.after && change.before->content == change.after->content &&
                        change.before->mode == change.after->mode;
      if (!same && (change.before || change.after)) changes.push_back(std::move(change));
    }
    return changes;
  }

 private:
  // What stands under a name now, after the sections so far. References stay valid until the next call.
  Result<FileChange*> look(const std::string& name) {
    ATELIER_TRY(const std::string path, workspace_.relative(name, folder_));
    if (const auto known = index_.find(path); known != index_.end()) return &files_[known->second];
    FileChange change{path, {}, {}, {}, {}};
    auto found = workspace_.read(path, kMaxFileBytes);
    if (found) {
      bytes_ += found->bytes.size();
      change.before = FileVersion{std::move(found->bytes), found->info.st_mode & kPermissions};
    } else if (found.error().code != ErrorCode::kNotFound) {
      return tl::unexpected<Error>(std::move(found).error());
    }
    if (bytes_ > kMaxEditBytes)
      return fail(ErrorCode::kLimit, "{}: expected at most {} bytes of files in one patch, found more", path,
                  kMaxEditBytes);
    change.after = change.before;
    index_.emplace(path, files_.size());
    files_.push_back(std::move(change));
    return &files_.back();
  }

  Status refuse_binary(const FileChange& file) const {
    if (!file.after) return {};
    return TextFile::parse(file.path, file.after->content).map([](const TextFile&) {});
  }

  Status add_file(const Section& section) {
    ATELIER_TRY(FileChange* const file, look(section.path));
    ATELIER_CHECK_OK(refuse_binary(*file));
    std::string content;
    for (const std::string& line : section.lines) append_line(content, line, LineEnd::kLf);
    file->after = FileVersion{std::move(content), file->after ? file->after->mode : std::nullopt};
    return refuse_binary(*file);
  }

  Result<FileChange*> existing(const Section& section) {
    ATELIER_TRY(FileChange* const file, look(section.path));
    if (!file->after) return fail(ErrorCode::kNotFound, "{}: no such file", file->path);
    ATELIER_CHECK_OK(refuse_binary(*file));
    return file;
  }

  Status delete_file(const Section& section) {
    ATELIER_TRY(FileChange* const file, existing(section));
    file->after.reset();
    return {};
  }

  Status update_file(const Section& section) {
    ATELIER_TRY(FileChange* const file, existing(section));
    ATELIER_TRY(std::string content, apply_hunks(file->path, file->after->content, section.hunks));
    file->after->content = std::move(content);
    return section.move_to.empty() ? Status() : move_file(section, file->path);
  }

  Status move_file(const Section& section, const std::string from_path) {
    ATELIER_TRY(const std::string to_path, workspace_.relative(section.move_to, folder_));
    if (to_path == from_path) return {};
    ATELIER_CHECK_OK(look(section.move_to).and_then([this](FileChange* to) { return refuse_binary(*to); }));
    FileChange& from = files_[index_.at(from_path)];
    FileChange& to = files_[index_.at(to_path)];
    to.after = std::move(from.after);
    from.after.reset();
    from.moved_to = to.path;
    to.moved_from = from.path;
    return {};
  }

  const Workspace& workspace_;
  std::string_view folder_;
  std::vector<FileChange> files_;  // in the order they were first named
  std::unordered_map<std::string, size_t> index_;
  size_t bytes_ = 0;
};

}  // namespace

Result<std::vector<FileChange>> planned_changes(const Workspace& workspace, const Patch& patch,
                                                std::string_view folder) {
  Planner planner(workspace, folder);
  for (const Section& section : patch.sections)
    if (Status added = planner.add(section); !added)
      return tl::unexpected<Error>(at_section(section, std::move(added).error()));
  return planner.finish();
}

Result<std::vector<FileChange>> plan_patch(const Workspace& workspace, const Patch& patch,
                                           std::string_view folder) {
  ATELIER_TRY(std::vector<FileChange> changes, planned_changes(workspace, patch, folder));
  if (changes.empty())
    return fail(ErrorCode::kInvalidArgument,
                "patch: expected changes, found that every file is already as it says");
  return changes;
}

}  // namespace atelier::agent
