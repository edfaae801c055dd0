// The hunks of one file that apply: a grammar of its lines.
//
// The lines that may come next are a tree of their letters, so that a thousand of them are one state and not
// a thousand at once: a tree for each place the last hunk can have ended at, which shares with the tree of
// the next place all but the way to one line. Lines that stand several times lead to the set of places where
// they do, which has a tree of what comes next there.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/patch/patch_language.h"
#include "base/result.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::agent {

struct HunkParts {
  constraint::ExprId added{};                                // a "+" and a line with its end
  std::function<std::string(std::string_view text)> line{};  // a text as it is written, with its end
};
// One hunk or more. Errors: kLimit where the file would take more states than a grammar may have.
Result<constraint::ExprId> hunk_language(constraint::GrammarBuilder& builder, const HunkParts& parts,
                                         const PatchableFile& file);

// Can stand behind a blank or a minus and be read back as it is.
bool is_line_usable(std::string_view text);

}  // namespace atelier::agent
