// What a turn did to files, as the session store keeps it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/session/file_index.h"

namespace atelier::agent {

// [{"path":…,"before":{…},"after":{…}}]
std::string state_changes_text(const std::vector<StateChange>& changes);
// Errors: kCorrupt for what state_changes_text() does not write.
Result<std::vector<StateChange>> state_changes_from(std::string_view text);

}  // namespace atelier::agent
