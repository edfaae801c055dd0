// The pieces of text that the tool `replace` finds: whole lines of a file, as many as it takes for them to
// stand there exactly once.
#pragma once

#include "agent/patch/patch_language.h"
#include "base/result.h"
#include "engine/constraint/json_language.h"

namespace atelier::agent {

// {"path": …, "old": …, "new": …}: a file of the scope, a piece of it, anything. Of files that are not bound
// any piece. Never where there is no such piece. Errors: kLimit where the files are too long.
Result<constraint::ExprId> replace_language(constraint::JsonLanguage& json, const PatchScope& scope);

}  // namespace atelier::agent
