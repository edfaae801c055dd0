// ripgrep, where it is installed: many times faster than reading the files one by one.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/tools/command_runner.h"

namespace atelier::agent {

struct GrepQuery {
  std::string pattern{};
  std::string path{};  // as from Workspace::relative_folder; empty: the workspace
  size_t max_results = 100;
  const std::atomic<bool>* cancel = nullptr;
};
struct GrepMatch {
  std::string path{};
  size_t line = 0;
  std::string text{};
};
// Matches in the order of their paths, at most one more than asked for; the same files are searched as by
// walk_files(). Nothing where it is not installed, may not be started unasked, or cannot read the pattern.
// It runs read-only, without any configuration of its own.
std::optional<std::vector<GrepMatch>> ripgrep(CommandRunner& runner, const GrepQuery& query);

}  // namespace atelier::agent
