// What a model is told before a task: who it is, where it works, what the user and the project want.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/context/repo_map.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

// A file of instructions, shortened to a limit.
struct InstructionFile {
  std::string name;  // as shown to the model
  std::string text;
};

// The user's own ($XDG_CONFIG_HOME/atelier/AGENTS.md), then AGENTS.md of every folder from the root of the
// repository (or of the workspace, if it is in none) down to the workspace. Missing and unreadable ones are
// left out. Nothing is ever started or written for it.
std::vector<InstructionFile> instruction_files(const Workspace& workspace);

struct BriefingOptions {
  std::string sandbox{};                                   // one line for the model: what commands may do
  bool harmony = false;                                    // tools by the names gpt-oss knows
  size_t max_tokens = 6000;                                // of everything that comes from files
  std::function<size_t(std::string_view)> count_tokens{};  // of the model; empty: a token has four bytes
  // Who tells what files define, instead of ourselves: see RepoMapOptions.
  std::function<std::optional<FileSymbols>(const std::vector<WalkEntry>&)> symbols{};
};
// The text of the system or developer message. The same for the same workspace: no clock, nothing random.
std::string briefing(const Workspace& workspace, const BriefingOptions& options);

}  // namespace atelier::agent
