// Looking at the workspace: print_tree, open_file.
#include <algorithm>

#include "agent/tools/file_walk.h"
#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxTreeEntries = 1000;
constexpr size_t kMaxOpenBytes = size_t{16} << 20;
constexpr size_t kDefaultLines = 400;  // shown where the model names no end
constexpr size_t kMaxLine = 1'000'000'000;

ToolSpec tree_spec() {
  return {
      .kind = ToolKind::kBrowse,
      .name = "print_tree",
      .harmony_name = "repo_browser.print_tree",
      .aliases = {"list_dir", "list_files", "tree", "repo_browser.list_dir", "repo_browser.list_files"},
      .description = "Lists a folder of the workspace, at most `depth` levels deep, without ignored files.",
      .schema = R"({"type":"object","properties":{"path":{"type":"string"},)"
                R"("depth":{"type":"integer","minimum":1,"maximum":20}},"required":["path"],)"
                R"("additionalProperties":false})",
  };
}

ToolSpec open_spec() {
  return {
      .kind = ToolKind::kBrowse,
      .name = "open_file",
      .harmony_name = "repo_browser.open_file",
      .aliases = {"read_file", "view_file", "cat", "repo_browser.read_file", "repo_browser.view_file"},
      .description = "Shows lines of a file with their numbers, counted from 1.",
      .schema = R"({"type":"object","properties":{"path":{"type":"string","minLength":1},)"
                R"("line_start":{"type":"integer","minimum":1},"line_end":{"type":"integer","minimum":1}},)"
                R"("required":["path"],"additionalProperties":false})",
      .harmony_arguments =
          R"({"anyOf":[{"type":"object","properties":{"path":{"type":"string","minLength":1},)"
          R"("line_start":{"type":"integer","minimum":1},"line_end":{"type":"integer","minimum":1}},)"
          R"("required":["path"],"additionalProperties":false},)"
          R"({"type":"object","properties":{"path":{"type":"string","minLength":1},)"
          R"("start_line":{"type":"integer","minimum":1},"end_line":{"type":"integer","minimum":1}},)"
          R"("required":["path"],"additionalProperties":false}]})",
  };
}

const std::string* path_argument(const Json& arguments) {
  return text_argument(arguments, {"path", "file_path", "file", "filename", "dir", "directory"});
}

class TreeTool final : public Tool {
 public:
  explicit TreeTool(const ToolHost& host) : Tool(tree_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* path = path_argument(arguments);
    return plain_text(path && !path->empty() ? *path : ".");
  }

  ToolResult run(const Json& arguments, const ToolRun&) override {
    const std::string* path = path_argument(arguments);
    const auto folder = host_.workspace->relative_folder(path && !path->empty() ? *path : ".");
    if (!folder) return failed_result(folder.error().message);
    const size_t depth =
        std::max<size_t>(1, size_argument(arguments, {"depth", "max_depth"}, 20).value_or(2));
    std::string text = (folder->empty() ? "." : *folder) + "/\n";
    size_t entries = 0;
    const auto whole =
        walk_files(*host_.workspace, {.folder = *folder, .max_depth = depth}, [&](const WalkEntry& e) {
          if (++entries > kMaxTreeEntries) return Walk::kEnd;
          text.append(2 * e.depth, ' ');
          text += e.path.substr(e.path.rfind('/') + 1);
          if (e.kind == WalkEntry::Kind::kFolder) text += '/';
          if (e.kind == WalkEntry::Kind::kLink) text += " (link)";
          text += '\n';
          return Walk::kOn;
        });
    if (!whole) return failed_result(whole.error().message);
    if (entries > kMaxTreeEntries)
      text += fmt::format("[more than {} entries: ask for a folder below, or less depth]\n", kMaxTreeEntries);
    return {.text = std::move(text)};
  }

 private:
  const ToolHost& host_;
};

class OpenTool final : public Tool {
 public:
  explicit OpenTool(const ToolHost& host) : Tool(open_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* path = path_argument(arguments);
    if (path == nullptr) return "";
    const auto start = size_argument(arguments, {"line_start", "start_line"}, kMaxLine);
    const auto end = size_argument(arguments, {"line_end", "end_line"}, kMaxLine);
    std::string range = start || end ? fmt::format(":{}", start.value_or(1)) : "";
    if (end) range += fmt::format("-{}", *end);
    return plain_text(*path) + range;
  }

  ToolResult run(const Json& arguments, const ToolRun&) override {
    const std::string* path = path_argument(arguments);
    if (path == nullptr || path->empty()) return failed_result("expected \"path\", found none");
    const Result<std::string> content = read(*path);
    if (!content) return failed_result(content.error().message);
    if (content->substr(0, 8192).find('\0') != std::string::npos)
      return failed_result(fmt::format("{}: a binary file of {} bytes", *path, content->size()));
    const size_t start =
        std::max<size_t>(1, size_argument(arguments, {"line_start", "start_line"}, kMaxLine).value_or(1));
    const size_t end =
        size_argument(arguments, {"line_end", "end_line"}, kMaxLine).value_or(start + kDefaultLines - 1);
    return show(*path, *content, start, end);
  }

 private:
  Result<std::string> read(const std::string& path) const {
    if (OutputStore::is_name(path)) return host_.outputs->read(path);
    ATELIER_TRY(const std::string relative, host_.workspace->relative(path));
    ATELIER_TRY(Workspace::Content content, host_.workspace->read(relative, kMaxOpenBytes));
    return std::move(content.bytes);
  }

  static ToolResult show(const std::string& path, const std::string& content, size_t start, size_t end) {
    std::string text;
    size_t line = 0;
    for (size_t at = 0; at < content.size();) {
      const size_t stop = std::min(content.find('\n', at), content.size());
      if (++line >= start && line <= end) {
        text += fmt::format("{:>5}\t", line);
        text += plain_text(std::string_view(content).substr(at, stop - at));
        text += '\n';
      }
      at = stop + 1;
    }
    if (start > std::max<size_t>(line, 1))
      return failed_result(fmt::format("{}: expected a line up to {}, found {}", path, line, start));
    if (line == 0) text = "[an empty file]\n";
    if (line > end) text += fmt::format("[{} lines in all]\n", line);
    return {.text = std::move(text)};
  }

  const ToolHost& host_;
};

}  // namespace

std::unique_ptr<Tool> make_print_tree_tool(const ToolHost& host) { return std::make_unique<TreeTool>(host); }
std::unique_ptr<Tool> make_open_file_tool(const ToolHost& host) { return std::make_unique<OpenTool>(host); }

}  // namespace atelier::agent
