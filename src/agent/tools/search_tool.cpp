// Searching the workspace, by ripgrep where it is installed, else in this process; .gitignore is respected.
#include <algorithm>

#include "agent/tools/file_walk.h"
#include "agent/tools/output_text.h"
#include "agent/tools/ripgrep.h"
#include "agent/tools/tool_host.h"
#include "text/regex.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxSearchBytes = size_t{4} << 20;  // of one file; larger ones are data
constexpr size_t kMaxLineBytes = size_t{64} << 10;   // beyond it a line is only searched for the plain text
constexpr size_t kShownLineBytes = 300;

ToolSpec search_spec() {
  return {
      .kind = ToolKind::kBrowse,
      .name = "search",
      .harmony_name = "repo_browser.search",
      .aliases = {"find", "grep", "repo_browser.find", "repo_browser.grep"},
      .description =
          "Finds lines with `query` (a regular expression, or plain text) in the files below `path`.",
      .schema = R"({"type":"object","properties":{"query":{"type":"string","minLength":1},)"
                R"("path":{"type":"string"},"max_results":{"type":"integer","minimum":1,"maximum":1000}},)"
                R"("required":["query"],"additionalProperties":false})",
      .harmony_arguments =
          R"({"type":"object","properties":{"path":{"type":"string"},"query":{"type":"string","minLength":1},)"
          R"("max_results":{"type":"integer","minimum":1,"maximum":1000}},"required":["query"],)"
          R"("additionalProperties":false})",
  };
}

// A query as a regular expression where it is one, else as it stands. One that takes too long on some line is
// searched as it stands from there on.
class Matcher {
 public:
  explicit Matcher(const std::string& query) : text_(query) {
    if (query.find_first_of("\\^$.|?*+()[]{}") == std::string::npos) return;
    if (Result<Regex> pattern = Regex::compile(query, RegexSyntax::kPcre2)) pattern_ = std::move(*pattern);
  }
  bool found_in(std::string_view line) {
    if (!pattern_ || line.size() > kMaxLineBytes) return line.find(text_) != std::string_view::npos;
    matches_.clear();
    if (pattern_->find_all(line, matches_)) return !matches_.empty();
    given_up_ = true;
    pattern_.reset();
    return found_in(line);
  }
  bool given_up() const { return given_up_; }

 private:
  std::string text_;
  std::optional<Regex> pattern_;  // nothing: a plain text
  std::vector<Regex::Match> matches_;
  bool given_up_ = false;
};

class SearchTool final : public Tool {
 public:
  explicit SearchTool(const ToolHost& host) : Tool(search_spec()), host_(host) {}

  std::string summary(const Json& arguments) const override {
    const std::string* query = text_argument(arguments, {"query", "pattern"});
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    return plain_text(query ? *query : "") + (path && !path->empty() ? " in " + plain_text(*path) : "");
  }

  ToolResult run(const Json& arguments, const ToolRun& run) override {
    const std::string* query = text_argument(arguments, {"query", "pattern"});
    if (query == nullptr || query->empty()) return failed_result("expected \"query\", found none");
    const std::string* path = text_argument(arguments, {"path", "file_path"});
    Found found{.max = size_argument(arguments, {"max_results"}, 1000).value_or(100)};
    found.max = std::max<size_t>(found.max, 1);
    const std::string where = path && !path->empty() ? *path : ".";
    if (const Status done = search(where, *query, found, run); !done)
      return failed_result(done.error().message);
    if (found.n == 0) found.text = "No matches.";
    if (found.given_up)
      found.text +=
          "\n[The expression takes too long on some line; from there on it was taken as plain text.]";
    if (found.n > found.max) found.text += fmt::format("[only the first {} matches]\n", found.max);
    return {.text = std::move(found.text)};
  }

 private:
  struct Found {
    size_t max = 0;
    size_t n = 0;
    std::string text{};
    bool given_up = false;  // the expression took too long
  };

  Status search(const std::string& where, const std::string& query, Found& found, const ToolRun& run) const {
    ATELIER_TRY(const std::string folder, host_.workspace->relative_folder(where));
    if (const auto matches =
            ripgrep(*host_.runner,
                    {.pattern = query, .path = folder, .max_results = found.max, .cancel = run.cancel})) {
      for (const GrepMatch& match : *matches) add_match(match.path, match.line, match.text, found);
      return {};
    }
    Matcher matcher(query);
    const auto visit = [&](const WalkEntry& entry) {
      if (run.cancel != nullptr && run.cancel->load()) return Walk::kEnd;
      const bool worth_reading =
          entry.kind == WalkEntry::Kind::kFile && entry.info.st_size <= static_cast<off_t>(kMaxSearchBytes);
      if (worth_reading) search_file(entry.path, matcher, found);
      return found.n > found.max ? Walk::kEnd : Walk::kOn;
    };
    if (!walk_files(*host_.workspace, {.folder = folder}, visit)) {
      // A single file is as good a place as a folder.
      ATELIER_CHECK_OK(host_.workspace->read(folder, kMaxSearchBytes).map([](const auto&) {}));
      search_file(folder, matcher, found);
    }
    found.given_up = matcher.given_up();
    return {};
  }

  void search_file(const std::string& path, Matcher& matcher, Found& found) const {
    const auto content = host_.workspace->read(path, kMaxSearchBytes);
    if (!content) return;
    const std::string_view bytes = content->bytes;
    if (bytes.substr(0, 8192).find('\0') != std::string_view::npos) return;
    size_t line = 0;
    for (size_t at = 0; at < bytes.size() && found.n <= found.max;) {
      const size_t stop = std::min(bytes.find('\n', at), bytes.size());
      const std::string_view text = bytes.substr(at, stop - at);
      ++line;
      at = stop + 1;
      if (matcher.found_in(text)) add_match(path, line, text, found);
    }
  }

  void add_match(const std::string& path, size_t line, std::string_view text, Found& found) const {
    if (++found.n > found.max) return;
    const std::string shown = plain_text(text.substr(0, kShownLineBytes));
    found.text +=
        fmt::format("{}:{}:{}{}\n", plain_text(path), line, shown, text.size() > kShownLineBytes ? "…" : "");
  }

  const ToolHost& host_;
};

}  // namespace

std::unique_ptr<Tool> make_search_tool(const ToolHost& host) { return std::make_unique<SearchTool>(host); }

}  // namespace atelier::agent
