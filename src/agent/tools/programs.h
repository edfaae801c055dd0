// Programs that are used where they are installed.
#pragma once

#include <string_view>

namespace atelier::agent {

// Whether a folder of PATH has it. Starts nothing.
bool has_program(std::string_view name);

}  // namespace atelier::agent
