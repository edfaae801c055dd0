// A bounded overview of a workspace: the files that matter most, and what they define.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/context/symbols.h"
#include "agent/tools/file_walk.h"
#include "agent/workspace/workspace.h"

namespace atelier::agent {

struct RepoMapOptions {
  size_t max_tokens = 1500;
  std::function<size_t(std::string_view)> count_tokens{};  // of the model; empty: a token has four bytes
  size_t max_files = 4000;                                 // looked at
  size_t max_read = 400;                                   // read for their symbols
  // What the files define, instead of top_level_symbols(); nothing where it cannot say.
  std::function<std::optional<FileSymbols>(const std::vector<WalkEntry>&)> symbols{};
};

// Files by rank, each with the names it defines at top level ("src/a.cpp: Parser, parse"). A file ranks
// higher the more other files mention its name or its symbols, and the nearer to the root it is. The text is
// the same for the same files. Empty for an empty workspace.
std::string repo_map(const Workspace& workspace, const RepoMapOptions& options = {});

}  // namespace atelier::agent
