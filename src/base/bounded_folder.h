// Folders of what can be computed again, kept below a size by giving up what was used longest ago.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace atelier {

// Removes files below `folder` whose names end in one of `extensions` (".page"), those last written or
// touched longest ago first, until the rest have at most `max_bytes`. Any other file older than an hour is a
// draft that a killed process left, and goes too. What cannot be read or removed stays.
void bound_folder(const std::filesystem::path& folder, std::span<const std::string_view> extensions,
                  uint64_t max_bytes);

// Makes a file the youngest; false where there is none.
bool touch_file(const std::filesystem::path& path);

}  // namespace atelier
