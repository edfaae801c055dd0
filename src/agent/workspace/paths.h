// Questions about paths as text: canonical, absolute, without a slash at the end.
#pragma once

#include <string_view>

namespace atelier::agent {

// Whether `path` is `folder` or something below it.
inline bool lies_in(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) &&
         (path.size() == folder.size() || folder.ends_with('/') || path[folder.size()] == '/');
}

}  // namespace atelier::agent
