// Where what belongs to a user lies (XDG base directories).
#pragma once

#include <filesystem>

#include "base/result.h"

namespace atelier {

enum class UserFolder {
  kData,    // $XDG_DATA_HOME/atelier, ~/.local/share/atelier: models
  kConfig,  // $XDG_CONFIG_HOME/atelier, ~/.config/atelier
  kState,   // $XDG_STATE_HOME/atelier, ~/.local/state/atelier: sessions, histories
  kCache,   // $XDG_CACHE_HOME/atelier, ~/.cache/atelier: what can be computed again
};
// Not made. kNotFound where neither the variable nor HOME is set.
Result<std::filesystem::path> user_folder(UserFolder folder);

}  // namespace atelier
