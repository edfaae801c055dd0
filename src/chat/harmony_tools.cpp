// The namespaces gpt-oss was trained with. The words for browser and python are the ones the models have seen
// (openai/harmony src/chat.rs); container and repo_browser have no published text, only published signatures.
#include "chat/harmony.h"

namespace atelier::chat::harmony {
namespace {

ToolNamespace browser() {
  return {
      "browser",
      "Tool for browsing.\n"
      "The `cursor` appears in brackets before each browsing display: `[{cursor}]`.\n"
      "Cite information from the tool using the following format:\n"
      "`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.\n"
      "Do not quote more than 10 words directly from the tool output.\n"
      "sources=web (default: web)",
      {{"search", "Searches for information related to `query` and displays `topn` results.",
        R"({"type":"object","properties":{"query":{"type":"string"},"topn":{"type":"number","default":10},)"
        R"("source":{"type":"string"}},"required":["query"]})"},
       {"open",
        "Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing "
        "`num_lines` lines.\n"
        "Valid link ids are displayed with the formatting: `【{id}†.*】`.\n"
        "If `cursor` is not provided, the most recent page is implied.\n"
        "If `id` is a string, it is treated as a fully qualified URL associated with `source`.\n"
        "If `loc` is not provided, the viewport will be positioned at the beginning of the document or "
        "centered on the most relevant passage, if available.\n"
        "Use this function without `id` to scroll to a new location of an opened page.",
        R"({"type":"object","properties":{"id":{"type":["number","string"],"default":-1},)"
        R"("cursor":{"type":"number","default":-1},"loc":{"type":"number","default":-1},)"
        R"("num_lines":{"type":"number","default":-1},"view_source":{"type":"boolean","default":false},)"
        R"("source":{"type":"string"}}})"},
       {"find", "Finds exact matches of `pattern` in the current page, or the page given by `cursor`.",
        R"({"type":"object","properties":{"pattern":{"type":"string"},"cursor":{"type":"number","default":-1}},)"
        R"("required":["pattern"]})"}},
  };
}

ToolNamespace python() {
  return {
      "python",
      "Use this tool to execute Python code in your chain of thought. The code will not be shown to the "
      "user. "
      "This tool should be used for internal reasoning, but not for code that is intended to be visible to "
      "the user (e.g. when creating plots, tables, or files).\n\n"
      "When you send a message containing Python code to python, it will be executed in a stateful Jupyter "
      "notebook environment. python will respond with the output of the execution or time out after 120.0 "
      "seconds. The drive at '/mnt/data' can be used to save and persist user files. Internet access for "
      "this "
      "session is UNKNOWN. Depends on the cluster.",
      {},
  };
}

ToolNamespace container() {
  return {
      "container",
      "Runs programs in the workspace.",
      {{"exec", "Runs `cmd` and returns its output and exit code. A shell line is [\"bash\", \"-lc\", line].",
        R"({"type":"object","properties":{"cmd":{"type":"array","items":{"type":"string"}},)"
        R"("workdir":{"type":"string"},"timeout":{"type":"number"}},"required":["cmd"]})"}},
  };
}

ToolNamespace repo_browser() {
  return {
      "repo_browser",
      "Reads and edits the files of the workspace.",
      {{"print_tree", "Lists the folder `path`, at most `depth` levels deep.",
        R"({"type":"object","properties":{"path":{"type":"string"},"depth":{"type":"number"}},)"
        R"("required":["path","depth"]})"},
       {"search", "Searches for `query` in the files below `path`.",
        R"({"type":"object","properties":{"path":{"type":"string"},"query":{"type":"string"},)"
        R"("max_results":{"type":"number"}},"required":["path","query"]})"},
       {"open_file", "Shows the lines of a file, counted from 1.",
        R"({"type":"object","properties":{"path":{"type":"string"},"line_start":{"type":"number"},)"
        R"("line_end":{"type":"number"}},"required":["path"]})"},
       {"apply_patch", "Applies a patch: `*** Begin Patch` … `*** End Patch`.",
        R"({"type":"object","properties":{"patch":{"type":"string"}},"required":["patch"]})"}},
  };
}

}  // namespace

std::string_view builtin_name(BuiltinTool tool) {
  switch (tool) {
    case BuiltinTool::kBrowser:
      return "browser";
    case BuiltinTool::kPython:
      return "python";
    case BuiltinTool::kContainer:
      return "container";
    case BuiltinTool::kRepoBrowser:
      return "repo_browser";
  }
  return "";
}

ToolNamespace builtin_namespace(BuiltinTool tool) {
  switch (tool) {
    case BuiltinTool::kBrowser:
      return browser();
    case BuiltinTool::kPython:
      return python();
    case BuiltinTool::kContainer:
      return container();
    case BuiltinTool::kRepoBrowser:
      return repo_browser();
  }
  return {};
}

}  // namespace atelier::chat::harmony
