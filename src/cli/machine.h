// Names of what is built in.
#pragma once

#include <string>
#include <vector>

namespace atelier::cli {

// As /proc/cpuinfo calls it; "unknown" where it does not say.
std::string processor_name();
// Display controllers that can compute, as the kernel's driver names them; none if there are none.
std::vector<std::string> graphics_processors();

}  // namespace atelier::cli
