#include "base/user_folders.h"

#include <array>
#include <cstdlib>

namespace atelier {

Result<std::filesystem::path> user_folder(UserFolder folder) {
  struct Place {
    const char* variable;
    const char* below_home;
  };
  constexpr std::array<Place, 4> kPlaces = {{{"XDG_DATA_HOME", ".local/share"},
                                             {"XDG_CONFIG_HOME", ".config"},
                                             {"XDG_STATE_HOME", ".local/state"},
                                             {"XDG_CACHE_HOME", ".cache"}}};
  const Place place = kPlaces[static_cast<size_t>(folder)];
  // The specification ignores paths that are not absolute.
  const char* set = std::getenv(place.variable);
  if (set != nullptr && *set == '/') return std::filesystem::path(set) / "atelier";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    return fail(ErrorCode::kNotFound, "no home folder: set HOME or {}", place.variable);
  return std::filesystem::path(home) / place.below_home / "atelier";
}

}  // namespace atelier
