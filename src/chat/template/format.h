// Python's two ways to put values into a text.
#pragma once

#include "chat/template/interpreter.h"

namespace atelier::chat::jinja {

// "{} {name} {0:>5} {x.y[1]!r}".format(…): fields by number, name or order, members, !s and !r, and fill,
// alignment, sign, zeros, width, commas, precision and the types s d f F e g % x X o b. No nested fields.
Result<Text> brace_format(Interpreter& interpreter, const Text& pattern, const Arguments& arguments);

}  // namespace atelier::chat::jinja
