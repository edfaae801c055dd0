// The tools one model gets, under the names it knows them by.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "agent/tools/tool_host.h"
#include "chat/conversation.h"

namespace atelier::agent {

class Toolbox {
 public:
  // All tools for a family of models. gpt-oss gets the ones it was trained with and the plan; the others get
  // plain functions, and for edits whole files and pieces of text beside patches. The host must outlive it.
  Toolbox(const ToolHost& host, ToolNames names);

  ToolNames names() const { return names_; }
  // One more, before declare(). The error says why what a model writes for it cannot be held to its schema:
  // then it is held to being an object.
  Status add(std::unique_ptr<Tool> tool);
  // Of all tools.
  void reset() const {
    for (const auto& tool : tools_) tool->reset();
  }
  // How the tool is called here: "container.exec" or "shell".
  const std::string& name_of(const Tool& tool) const;
  const std::vector<std::unique_ptr<Tool>>& tools() const { return tools_; }
  // By any name or alias, with or without "functions."; null for a tool nobody has.
  Tool* find(std::string_view name) const;

  // Declares them in a conversation.
  void declare(chat::Conversation& conversation) const;
  // What the model may write as arguments.
  const std::string& arguments_schema(const Tool& tool) const;

 private:
  ToolNames names_;
  std::vector<std::unique_ptr<Tool>> tools_;
  std::set<const Tool*> unheld_;  // whose schema nothing can be held to
};

// A model's arguments as an object: JSON, or of a tool with one text argument that text itself.
// kInvalidArgument says what was found instead.
Result<Json> parse_arguments(const Tool& tool, std::string_view text);

}  // namespace atelier::agent
