// The files of src/server/assets, which are part of the program (cmake/embed.cmake).
#pragma once

#include <string_view>

namespace atelier::server {

// The content of "index.html"; empty if there is no such file.
std::string_view asset(std::string_view name);

}  // namespace atelier::server
