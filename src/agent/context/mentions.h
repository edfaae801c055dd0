// Files a user names in a task with @path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/workspace/workspace.h"

namespace atelier::agent {

// "@src/a.cpp", "@src/a.cpp:10-40", "@docs/" of a text, each once, as far as they look like paths: after the
// beginning, white space or an opening bracket, without punctuation at the end. "@\"my file\"" names one with
// blanks.
struct Mention {
  std::string path{};
  size_t first_line = 0, last_line = 0;  // 0: the whole file
};
std::vector<Mention> mentions_in(std::string_view text);

struct MentionOptions {
  size_t max_bytes = 48 << 10;       // of all that is added
  size_t max_file_bytes = 24 << 10;  // of one file; its middle is left out
};
// `task` with the content of what it mentions behind it: files with a heading each, folders as lists of
// names. What does not exist in the workspace stays a word. Content is text, whatever it looks like.
std::string with_mentions(const Workspace& workspace, std::string_view task,
                          const MentionOptions& options = {});

}  // namespace atelier::agent
