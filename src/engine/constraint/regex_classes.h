// The character classes of ECMA-262 regular expressions.
#pragma once

#include <optional>
#include <string_view>

#include "engine/constraint/code_points.h"

namespace atelier::constraint {

const CodePointSet& regex_digits();  // \d
const CodePointSet& regex_words();   // \w
const CodePointSet& regex_spaces();  // \s
const CodePointSet& regex_dot();     // all but the ends of lines

// \p{name} or, negated, \P{name}: the general categories L, Lu, Ll, M, N, P, S by their short or long names.
// Characters whose category differs between versions of Unicode are in neither.
std::optional<CodePointSet> regex_property(std::string_view name, bool negated);

}  // namespace atelier::constraint
