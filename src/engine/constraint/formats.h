// The formats of JSON Schema's format vocabulary as regular expressions.
#pragma once

#include <string_view>

namespace atelier::constraint {

// A pattern, anchored at both ends, of strings that all are of the format; not every string of the format is
// among them (years have four digits and do not begin with 0, time has no leap second, hosts and addresses
// are ASCII). Empty for formats that are not known.
std::string_view format_pattern(std::string_view format);

}  // namespace atelier::constraint
