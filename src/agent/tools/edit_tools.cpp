// Changing files: apply_patch for those who know it, whole files and pieces of text for everybody.
#include <algorithm>

#include "agent/patch/plan.h"
#include "agent/patch/unwrap.h"
#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"
#include "agent/workspace/transaction.h"

namespace atelier::agent {
namespace {

ToolSpec patch_spec() {
  return {
      .kind = ToolKind::kPatch,
      .name = "apply_patch",
      .harmony_name = "repo_browser.apply_patch",
      .aliases = {"patch", "edit", "repo_browser.edit"},
      .description =
          "Changes files, all or none. `patch` begins with \"*** Begin Patch\" and ends with \"*** End "
          "Patch\"; between them sections \"*** Add File: PATH\" (every line after +), \"*** Delete File: "
          "PATH\", \"*** Update File: PATH\" with hunks: a line \"@@\", then lines after a blank (kept), - "
          "(removed) or + (added).",
      .schema = R"({"type":"object","properties":{"patch":{"type":"string","minLength":1}},)"
                R"("required":["patch"],"additionalProperties":false})",
  };
}

ToolSpec replace_spec() {
  return {
      .kind = ToolKind::kPatch,
      .name = "replace",
      .aliases = {"str_replace", "edit_file"},
      .description = "Replaces `old`, which must stand exactly once in the file, by `new`.",
      .schema = R"({"type":"object","properties":{"path":{"type":"string","minLength":1},)"
                R"("old":{"type":"string","minLength":1},"new":{"type":"string"}},)"
                R"("required":["path","old","new"],"additionalProperties":false})",
  };
}

ToolSpec write_spec() {
  return {
      .kind = ToolKind::kPatch,
      .name = "write_file",
      .aliases = {"create_file"},
      .description = "Writes a file of the workspace as a whole, new or over the old one.",
      .schema = R"({"type":"object","properties":{"path":{"type":"string","minLength":1},)"
                R"("content":{"type":"string"}},"required":["path","content"],)"
                R"("additionalProperties":false})",
  };
}

// The paths a patch names, for one line.
std::string patch_files(std::string_view patch) {
  std::string files;
  for (size_t at = patch.find("*** "); at != std::string_view::npos; at = patch.find("*** ", at + 4)) {
    const std::string_view line = patch.substr(at, patch.find('\n', at) - at);
    const size_t name = line.find(" File: ");
    if (name == std::string_view::npos) continue;
    files += (files.empty() ? "" : ", ") + plain_text(line.substr(name + 7));
  }
  return files;
}

ToolResult unapplied(const Error& error) {
  return failed_result("The patch was not applied, no file has changed.\n" + error.message);
}

Result<std::vector<FileChange>> plan(const Workspace& workspace, const PatchText& text) {
  std::string folder;
  if (!text.workdir.empty()) {
    ATELIER_TRY(folder, workspace.relative_folder(text.workdir));
  }
  ATELIER_TRY(const Patch patch, parse_patch(text.text));
  return plan_patch(workspace, patch, folder);
}

class PatchTool final : public Tool {
 public:
  explicit PatchTool(const ToolHost& host) : Tool(patch_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* patch = text_argument(arguments, {"patch", "input"});
    return patch ? patch_files(*patch) : "";
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* text = text_argument(arguments, {"patch", "input", "content"});
    if (text == nullptr) return failed_result("expected \"patch\", found none");
    const Result<PatchText> patch = unwrap_patch(*text);
    if (!patch) return unapplied(patch.error());
    return apply_unwrapped(host_, *patch, run);
  }

 private:
  const ToolHost& host_;
};

class ReplaceTool final : public Tool {
 public:
  explicit ReplaceTool(const ToolHost& host) : Tool(replace_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    return path ? plain_text(*path) : "";
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    const std::string* before = text_argument(arguments, {"old", "old_string"});
    const std::string* after = text_argument(arguments, {"new", "new_string"});
    if (!path || !before || !after || before->empty())
      return failed_result("expected \"path\", \"old\" and \"new\", found something else");
    const auto relative = host_.workspace->relative(*path);
    if (!relative) return failed_result(relative.error().message);
    const auto file = host_.workspace->read(*relative, kMaxFileBytes);
    if (!file) return failed_result(file.error().message);
    const size_t at = file->bytes.find(*before);
    if (at == std::string::npos)
      return failed_result(
          fmt::format("{}: the text to replace does not stand there; look at the file again", *relative));
    if (file->bytes.find(*before, at + 1) != std::string::npos)
      return failed_result(
          fmt::format("{}: the text to replace stands there more than once; give more of it", *relative));
    if (*before == *after) return failed_result(fmt::format("{}: old and new are the same", *relative));
    const mode_t mode = file->info.st_mode & 07777;
    std::string content = file->bytes;
    content.replace(at, before->size(), *after);
    return edit_files(host_,
                      {{.path = *relative,
                        .before = FileVersion{file->bytes, mode},
                        .after = FileVersion{std::move(content), mode},
                        .moved_from = {},
                        .moved_to = {}}},
                      run);
  }

 private:
  const ToolHost& host_;
};

class WriteTool final : public Tool {
 public:
  explicit WriteTool(const ToolHost& host) : Tool(write_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    return path ? plain_text(*path) : "";
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    const std::string* content = text_argument(arguments, {"content", "text"});
    if (!path || !content) return failed_result("expected \"path\" and \"content\", found something else");
    const auto relative = host_.workspace->relative(*path);
    if (!relative) return failed_result(relative.error().message);
    FileChange change{.path = *relative, .before = {}, .after = {}, .moved_from = {}, .moved_to = {}};
    const auto file = host_.workspace->read(*relative, kMaxFileBytes);
    if (!file && file.error().code != ErrorCode::kNotFound) return failed_result(file.error().message);
    if (file) change.before = FileVersion{file->bytes, file->info.st_mode & 07777};
    change.after = FileVersion{*content, file ? change.before->mode : std::nullopt};
    if (file && file->bytes == *content) return {.text = fmt::format("{}: unchanged", *relative)};
    return edit_files(host_, {std::move(change)}, run);
  }

 private:
  const ToolHost& host_;
};

}  // namespace

ToolResult apply_unwrapped(const ToolHost& host, const PatchText& text, const ToolRun& run) {
  Result<std::vector<FileChange>> changes = plan(*host.workspace, text);
  return changes ? edit_files(host, std::move(*changes), run) : unapplied(changes.error());
}

std::unique_ptr<Tool> make_apply_patch_tool(const ToolHost& host) {
  return std::make_unique<PatchTool>(host);
}
std::unique_ptr<Tool> make_replace_tool(const ToolHost& host) { return std::make_unique<ReplaceTool>(host); }
std::unique_ptr<Tool> make_write_file_tool(const ToolHost& host) { return std::make_unique<WriteTool>(host); }

}  // namespace atelier::agent
