// The patches that apply: a grammar made of the very lines they may touch.
//
// Context and removed lines are lines of the file, in its order, beginning anywhere after the last hunk; an
// anchor is a line before its hunk; files that are added do not exist yet. Whatever is generated under it
// applies at the first attempt (docs/patch.md has the argument). Added lines are free.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::agent {

// A file that may be changed, moved or deleted.
struct PatchableFile {
  std::string path{};
  std::string content{};
  // False: too long to be offered line by line. It may be updated with hunks whose lines are free, which may
  // fail to apply, and not be moved or deleted.
  bool bound = true;
};
// A folder that files may be added to, and the names in it, which new ones must not have.
struct PatchableFolder {
  std::string path{};  // empty: the workspace
  std::vector<std::string> names{};
};
struct PatchScope {
  std::vector<PatchableFile> files{};      // in any order, each at most once (PatchGuard)
  std::vector<PatchableFolder> folders{};  // none: nothing can be added

  bool empty() const { return files.empty() && folders.empty(); }
};

// How the patch is written.
enum class PatchSpelling {
  kPlain,
  kJson,  // inside of a JSON string, quotes not included
};

// A text without line ends, as it is written in a patch.
std::string patch_text(std::string_view text, PatchSpelling spelling);

// From "*** Begin Patch" to "*** End Patch", with at least one section. kLimit where the files are too long.
// Whatever is generated under it applies if no file is named twice, which PatchGuard sees to.
Result<constraint::ExprId> patch_language(constraint::GrammarBuilder& builder, const PatchScope& scope,
                                          PatchSpelling spelling);

// Whether the language has this file: text without what JSON or the format cannot carry.
bool is_patchable(std::string_view path, std::string_view content);

}  // namespace atelier::agent
