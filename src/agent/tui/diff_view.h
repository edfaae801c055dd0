// What changed in a file, as people read it: hunks with line numbers, removed lines red, added ones green.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tui/styled.h"
#include "agent/workspace/change.h"

namespace atelier::agent::tui {

// One line of the shortest edit between two texts (Myers 1986); where texts differ in too much, of a longer
// one.
struct DiffLine {
  enum class Kind : uint8_t { kSame, kRemoved, kAdded } kind = Kind::kSame;
  std::string_view text{};       // without its end; a view of one of the texts
  size_t before = 0, after = 0;  // line numbers from 1; 0: in that text there is none
};
std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after);

struct DiffStat {
  size_t added = 0, removed = 0;
};
DiffStat diff_stat(std::span<const DiffLine> lines);

struct DiffOptions {
  size_t width = 80;
  size_t context = 3;     // unchanged lines around a change
  size_t max_lines = 60;  // shown
  bool unicode = true;
};
// One file: a line with its name and figures, then hunks.
Lines diff_view(const FileChange& change, const DiffOptions& options);
// "src/a.cpp (+3 −1)", "new file src/b.cpp (+10)", "src/old.cpp → src/new.cpp (+1 −1)".
Line diff_title(const FileChange& change, bool unicode);

}  // namespace atelier::agent::tui
