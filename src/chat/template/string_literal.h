// The inside of a quoted string of a template.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::chat::jinja {

// Resolves Python's escapes: \n and its like, \x, \u, \U, octal, and a backslash before the end of a line. An
// unknown escape stays as it is. kInvalidArgument for one that breaks off, \N{…} and surrogates.
Result<std::string> unescape(std::string_view text);

}  // namespace atelier::chat::jinja
