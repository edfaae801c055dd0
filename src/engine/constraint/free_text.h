// Text that is free but for where something else begins.
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::constraint {

// Any text, the empty one too, in which `tag` (not empty, UTF-8) does not appear.
Result<ExprId> text_without(std::string_view tag, GrammarBuilder& builder);

}  // namespace atelier::constraint
