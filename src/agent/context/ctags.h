// What source files define, by Universal Ctags where it is installed: more languages than symbols.h tells by
// the shape of lines.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/context/symbols.h"
#include "agent/tools/command_runner.h"
#include "agent/tools/file_walk.h"

namespace atelier::agent {

// Runs ctags in the sandbox, read-only, on these files, without the configuration that a repository may bring
// along (.ctags.d). Nothing where it is not installed, is another ctags, or may not run unasked.
std::optional<FileSymbols> ctags_symbols(CommandRunner& runner, const std::vector<std::string>& paths);

// The same with a memory on disk: files that have not changed are not read again. `cache`: a file of ours.
std::optional<FileSymbols> cached_ctags_symbols(CommandRunner& runner, const std::vector<WalkEntry>& files,
                                                const std::filesystem::path& cache);

}  // namespace atelier::agent
