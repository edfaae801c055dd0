#include "agent/tools/tool_host.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/patch/apply.h"
#include "agent/workspace/journal.h"
#include "agent/workspace/transaction.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxOutputBytes = size_t{64} << 20;

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

bool is_protected_path(std::string_view relative) {
  constexpr std::array<std::string_view, 7> kNames = {".git",   ".envrc",   ".mcp.json",  ".vscode",
                                                      ".husky", ".atelier", ".gitmodules"};
  while (!relative.empty()) {
    const std::string_view name = relative.substr(0, relative.find('/'));
    if (std::ranges::any_of(kNames, [&](std::string_view kept) { return same_name(kept, name); }))
      return true;
    relative.remove_prefix(std::min(relative.size(), name.size() + 1));
  }
  return false;
}

Result<std::string> OutputStore::keep(std::string_view bytes) {
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  // A resumed session goes on counting.
  while (std::filesystem::exists(folder_ / std::to_string(next_), failed)) ++next_;
  ATELIER_TRY(DraftFile file, DraftFile::create(folder_ / std::to_string(next_)));
  ATELIER_CHECK_OK(file.write(bytes.substr(0, kMaxOutputBytes)));
  ATELIER_CHECK_OK(file.commit());
  return fmt::format("@output/{}", next_++);
}

Result<std::string> OutputStore::read(std::string_view name) const {
  size_t number = 0;
  const std::string_view digits = name.substr(std::min(name.size(), std::string_view("@output/").size()));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (!is_name(name) || error != std::errc() || end != digits.data() + digits.size())
    return fail(ErrorCode::kNotFound, "expected @output/ and a number, found something else");
  return read_file(folder_ / std::to_string(number), kMaxOutputBytes);
}

ToolResult edit_files(const ToolHost& host, std::vector<FileChange> changes, const ToolRun& run) {
  ApprovalRequest request{.kind = ToolKind::kPatch, .what = summary(changes), .changes = changes};
  const auto touched =
      std::ranges::find_if(changes, [](const FileChange& c) { return is_protected_path(c.path); });
  if (host.edits == EditRule::kAsk) request.reason = "the sandbox is read-only";
  if (host.edits != EditRule::kFree && touched != changes.end())
    request.reason = fmt::format("{} is protected", touched->path);
  if (!request.reason.empty() && !(run.approve && run.approve(request)))
    return {.status = ToolStatus::kDeclined,
            .text = fmt::format("The edit was not made: {}, and nobody agreed to it.", request.reason)};
  std::filesystem::path journal = host.journal_folder;
  if (journal.empty()) {
    const auto standard = default_journal_folder();
    if (!standard) return failed_result(standard.error().message);
    journal = *standard;
  }
  if (const Status done = commit_changes(*host.workspace, changes, journal); !done)
    return failed_result(done.error().message);
  return {.text = "Success. Updated the following files:\n" + summary(changes),
          .changes = std::move(changes)};
}

}  // namespace atelier::agent
