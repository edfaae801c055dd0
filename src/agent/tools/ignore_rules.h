// .gitignore: which files of a workspace are not its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent {

// Whether `path` matches a pattern in which * and ? stop at "/", ** does not, and [a-z] is a class.
bool glob_matches(std::string_view pattern, std::string_view path);

// The rules of one folder's .gitignore (gitignore(5)).
class IgnoreRules {
 public:
  // `folder`: relative to the workspace, empty for the root; `text`: the file.
  IgnoreRules(std::string_view folder, std::string_view text);
  enum class Verdict : uint8_t { kNone, kIgnored, kKept };
  // Of a path relative to the workspace that lies below `folder`; the last rule that matches decides.
  Verdict judge(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    std::string pattern;
    bool anchored = false;  // matches the path from the folder on, not any name below it
    bool folders_only = false;
    bool keeps = false;
  };
  std::string folder_;
  std::vector<Rule> rules_;
};

}  // namespace atelier::agent
