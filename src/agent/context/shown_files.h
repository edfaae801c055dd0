// The files a conversation has shown to the model: those its patches may change.
#pragma once

#include <string>
#include <vector>

#include "agent/workspace/workspace.h"
#include "chat/conversation.h"

namespace atelier::agent {

// Files of the workspace that calls and their results name (what was opened, searched, patched, or stands in
// a command line) and that the user mentioned; the latest first, each once. What a conversation has forgotten
// is not in it any more.
std::vector<std::string> shown_files(const Workspace& workspace, const chat::Conversation& conversation);

}  // namespace atelier::agent
