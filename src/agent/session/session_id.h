// Names of sessions, and where what belongs to them lies.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::agent {

// "20250628-101500-5f3a9c2e": sorts by time of birth, and nobody else has it.
std::string new_session_id();
bool is_session_id(std::string_view text);

// $XDG_STATE_HOME/atelier/sessions. kNotFound without a home.
Result<std::filesystem::path> sessions_folder();
// Of one session; not made yet.
Result<std::filesystem::path> session_folder(std::string_view id);

}  // namespace atelier::agent
