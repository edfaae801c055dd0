// The patch format that models write, as data.
//
//   *** Begin Patch
//   *** Add File: PATH            then the lines of the file, each after a "+"
//   *** Delete File: PATH
//   *** Update File: PATH         then optionally "*** Move to: PATH", then hunks
//   @@ ANCHOR                     any number of them, each sought after the one before; a bare "@@" only
//    context                      separates; the first hunk of a file may do without
//   -removed
//   +added
//   *** End of File               the hunk's lines are the last of the file
//   *** End Patch
//
// There are no line numbers: where a hunk belongs follows from its anchors and lines (docs/patch.md).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

struct HunkLine {
  enum class Kind { kContext, kRemoved, kAdded };
  Kind kind = Kind::kContext;
  std::string text;           // without prefix and line ending
  bool wholly_empty = false;  // the prefix was missing too: context, or only a gap between two hunks
};

struct Anchor {
  std::string text;
  size_t line = 0;  // in the patch, from 1
};

struct Hunk {
  std::vector<Anchor> anchors;
  std::vector<HunkLine> lines;
  bool end_of_file = false;
  size_t line = 0;  // in the patch: its first line
};

struct Section {
  enum class Kind { kAdd, kDelete, kUpdate };
  Kind kind = Kind::kAdd;
  std::string path;                // as written
  std::string move_to;             // kUpdate: empty, or the new path
  std::vector<std::string> lines;  // kAdd: the file's, without line endings
  std::vector<Hunk> hunks;         // kUpdate: in the order of the file; may be empty only with move_to
  size_t line = 0;                 // in the patch: its header
};

struct Patch {
  std::vector<Section> sections;  // at least one
};

// Limits on one patch; past them kLimit.
inline constexpr size_t kMaxPatchBytes = size_t{8} << 20;
inline constexpr size_t kMaxSections = 1024;
inline constexpr size_t kMaxHunks = 16384;  // of all sections together

// `text`: from "*** Begin Patch" to "*** End Patch", both needed (a patch without its end may be cut off),
// nothing but blank lines around them. Tolerated: blanks around markers, carriage returns, unified-diff hunk
// headers ("@@ -1,2 +1,3 @@ anchor", the numbers mean nothing), blank lines between sections, an empty line
// for an empty context or added line. Errors name the line: kInvalidArgument, kLimit.
Result<Patch> parse_patch(std::string_view text);

}  // namespace atelier::agent
