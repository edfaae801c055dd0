// One file's hunks, applied to its text.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "agent/patch/patch.h"

namespace atelier::agent {

// The content of `path` with `hunks` applied, in the order of the file. Kept: every byte of lines that are
// context (also where only a tolerant pass finds them), the byte order mark, the line ending of each line and
// whether the last one has one. An added line ends like the removed line it stands for, else like its
// neighbour. Where a block was found only with other indentation, and the difference is the same for all its
// lines, the added lines get it too.
// Errors (kInvalidArgument) name the file, the hunk, its line in the patch, what was sought, by which passes,
// and what comes nearest; kLimit for a file on which seeking takes too long.
Result<std::string> apply_hunks(std::string_view path, std::string_view content, std::span<const Hunk> hunks);

}  // namespace atelier::agent
