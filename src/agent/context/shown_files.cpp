#include "agent/context/shown_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "agent/context/mentions.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr size_t kMaxNames = 4096;  // looked at, in all

class Collector {
 public:
  explicit Collector(const Workspace& workspace) : workspace_(workspace) {}

  bool full() const { return tried_.size() >= kMaxNames; }

  void add_call(const std::string& arguments) {
    const auto json = chat::parse_json(arguments, "arguments");
    if (!json || !json->is_object()) return add_text(arguments);
    for (const auto& [key, value] : json->items()) {
      if (value.is_string()) add_value(key, value.get_ref<const std::string&>());
      if (!value.is_array()) continue;
      for (const Json& word : value)
        if (word.is_string()) add_value(key, word.get_ref<const std::string&>());
    }
  }

  // "path:12:text", as search results are.
  void add_result(std::string_view text) {
    for (size_t at = 0; at < text.size() && !full();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view line = text.substr(at, end - at);
      const size_t colon = line.find(':');
      const bool numbered = colon != std::string_view::npos && colon + 1 < line.size() &&
                            line[colon + 1] >= '0' && line[colon + 1] <= '9';
      if (numbered) add(line.substr(0, colon));
      at = end + 1;
    }
  }

  void add(std::string_view name) {
    if (full() || name.empty() || !tried_.emplace(name).second) return;
    const auto path = workspace_.relative(name);
    if (!path) return;
    const auto fd = workspace_.open_path(*path, O_PATH);
    struct stat info{};
    if (!fd || ::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    if (std::ranges::find(files_, *path) == files_.end()) files_.push_back(*path);
  }

  std::vector<std::string> take() { return std::move(files_); }

 private:
  void add_value(std::string_view key, const std::string& value) {
    if (key == "cmd" || key == "command" || key == "patch" || key == "input") return add_text(value);
    if (key.find("path") != std::string_view::npos || key.find("file") != std::string_view::npos) add(value);
  }

  // Words of a command line; of a patch, what follows its headers.
  void add_text(std::string_view text) {
    for (const std::string_view header : {" File: ", "*** Move to: "})
      for (size_t at = text.find(header); at != std::string_view::npos; at = text.find(header, at + 1)) {
        const size_t begin = at + header.size();
        add(text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin));
      }
    if (text.starts_with("*** ")) return;
    constexpr std::string_view kBetween = " \t\n;|&<>()'\"`";
    for (size_t at = 0; at < text.size() && !full();) {
      const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
      if (const std::string_view word = text.substr(at, end - at); !word.starts_with('-')) add(word);
      at = end + 1;
    }
  }

  const Workspace& workspace_;
  std::set<std::string, std::less<>> tried_;
  std::vector<std::string> files_;
};

}  // namespace

std::vector<std::string> shown_files(const Workspace& workspace, const chat::Conversation& conversation) {
  Collector files(workspace);
  for (size_t i = conversation.messages.size(); i-- > 0 && !files.full();) {
    const chat::Message& message = conversation.messages[i];
    for (const chat::ToolCall& call : message.tool_calls) files.add_call(call.arguments);
    if (message.role == chat::Role::kTool) files.add_result(message.content);
    if (message.role == chat::Role::kUser)
      for (const Mention& mention : mentions_in(message.content)) files.add(mention.path);
  }
  return files.take();
}

}  // namespace atelier::agent
