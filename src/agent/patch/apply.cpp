#include "agent/patch/apply.h"

#include "agent/patch/plan.h"
#include "agent/workspace/transaction.h"

namespace atelier::agent {

Result<std::vector<FileChange>> apply_patch(const Workspace& workspace, const PatchText& text,
                                            const ApplyOptions& options) {
  std::filesystem::path journal_folder = options.journal_folder;
  if (journal_folder.empty()) {
    ATELIER_TRY(journal_folder, default_journal_folder());
  }
  ATELIER_TRY(const Patch patch, parse_patch(text.text));
  std::string folder = options.folder;
  if (!text.workdir.empty()) {
    const bool absolute = text.workdir.starts_with('/');
    ATELIER_TRY(folder, workspace.relative_folder(absolute || folder.empty() ? text.workdir
                                                                             : folder + "/" + text.workdir));
  }
  if (options.check) {
    ATELIER_TRY(const bool interrupted, needs_recovery(workspace, journal_folder));
    if (interrupted)
      return fail(ErrorCode::kIo, "{}: an edit was interrupted here; the next edit completes it first",
                  workspace.root().string());
  } else {
    ATELIER_TRY(const Recovery recovered, recover(workspace, journal_folder));
    (void)recovered;
  }
  ATELIER_TRY(std::vector<FileChange> changes, plan_patch(workspace, patch, folder));
  if (!options.check) ATELIER_CHECK_OK(commit_changes(workspace, changes, journal_folder));
  return changes;
}

Result<std::vector<FileChange>> apply_patch(const Workspace& workspace, std::string_view text,
                                            const ApplyOptions& options) {
  ATELIER_TRY(const PatchText patch, unwrap_patch(text));
  return apply_patch(workspace, patch, options);
}

std::string summary(std::span<const FileChange> changes) {
  std::string lines;
  for (const FileChange& change : changes) {
    if (!change.moved_to.empty() && !change.after) continue;  // told with its other half
    if (!change.moved_from.empty()) {
      lines += fmt::format("R {} -> {}\n", change.moved_from, change.path);
    } else {
      lines += fmt::format("{} {}\n", !change.before ? 'A' : !change.after ? 'D' : 'M', change.path);
    }
  }
  return lines;
}

}  // namespace atelier::agent
