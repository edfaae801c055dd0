// What a source file defines at top level, told from the shape of its lines: good enough for an overview, and
// no program has to be started on untrusted files for it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent {

// By its extension: a language top_level_symbols() knows.
bool is_source_file(std::string_view path);

using FileSymbols = std::map<std::string, std::vector<std::string>>;  // names at top level, by path

// Names in the order of the file, each once.
std::vector<std::string> top_level_symbols(std::string_view path, std::string_view text);

}  // namespace atelier::agent
