// Child programs without a shell, for `pull`.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace atelier {

struct ChildProcess {
  std::vector<std::string> argv;                                 // argv[0] is looked up in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::filesystem::path output;                                  // receives stdout and stderr; created
  // Called about ten times a second while the child runs. An error stops the child, with everything it
  // started, and is returned.
  std::function<Status()> on_wait;
};

// The exit status (128 + signal where one ended it). Standard input is empty. Errors: kNotFound where there
// is no such program, kIo, and what on_wait returned.
Result<int> run_child(const ChildProcess& child);

}  // namespace atelier
