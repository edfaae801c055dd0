// What the tools of one agent share: the workspace, the way to start programs, the rules for edits, and a
// place for outputs too long for a model.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "agent/patch/unwrap.h"
#include "agent/tools/command_runner.h"
#include "agent/tools/jobs.h"
#include "agent/tools/tool.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

enum class EditRule : uint8_t {
  kAsk,        // every edit has to be agreed to (read-only)
  kWorkspace,  // files of the workspace are edited unasked, protected ones are not
  kFree,       // protected ones too
};

// Names that decide what other programs do on the user's behalf: .git, .envrc, .mcp.json, .vscode, .husky,
// .atelier, anywhere in the path and in any case. Nobody edits them unasked.
bool is_protected_path(std::string_view relative);

// Whole outputs on disk, by number.
class OutputStore {
 public:
  // `folder`: made on first use.
  explicit OutputStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // The name a model can open it by, "@output/3".
  Result<std::string> keep(std::string_view bytes);
  // Errors: kNotFound for names this store never gave.
  Result<std::string> read(std::string_view name) const;
  static bool is_name(std::string_view name) { return name.starts_with("@output/"); }

 private:
  std::filesystem::path folder_;
  size_t next_ = 1;
};

struct ToolHost {
  const Workspace* workspace = nullptr;
  CommandRunner* runner = nullptr;
  OutputStore* outputs = nullptr;
  JobTable* jobs = nullptr;  // null: nothing runs in the background
  EditRule edits = EditRule::kWorkspace;
  std::filesystem::path journal_folder{};  // of edits; empty: default_journal_folder()
};

// Makes `changes` if the rules, or somebody who is asked, allow it. The result's text is for the model.
ToolResult edit_files(const ToolHost& host, std::vector<FileChange> changes, const ToolRun& run);

// Applies a patch under the same rules, with errors meant for the model that wrote it.
ToolResult apply_unwrapped(const ToolHost& host, const PatchText& text, const ToolRun& run);

// The tools; each takes the host it will use, which must outlive it.
std::unique_ptr<Tool> make_shell_tool(const ToolHost& host);
std::unique_ptr<Tool> make_print_tree_tool(const ToolHost& host);
std::unique_ptr<Tool> make_search_tool(const ToolHost& host);
std::unique_ptr<Tool> make_open_file_tool(const ToolHost& host);
std::unique_ptr<Tool> make_apply_patch_tool(const ToolHost& host);
std::unique_ptr<Tool> make_replace_tool(const ToolHost& host);     // one piece of text for another
std::unique_ptr<Tool> make_write_file_tool(const ToolHost& host);  // a whole file
std::unique_ptr<Tool> make_plan_tool();
std::unique_ptr<Tool> make_python_tool(const ToolHost& host);
std::unique_ptr<Tool> make_job_tool(const ToolHost& host);

// What a job has said, for a model.
std::string job_text(const JobTable::View& view);

}  // namespace atelier::agent
