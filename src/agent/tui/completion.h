// What may be typed next: commands after "/", files after "@".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent::tui {

struct CommandInfo {
  std::string_view name;       // "/undo"
  std::string_view arguments;  // "[NAME]"; empty: none
  std::string_view help;
};
std::span<const CommandInfo> commands();

struct Candidate {
  std::string text{};  // replaces what was typed
  std::string hint{};
};
// Text [begin, end) may become one of the candidates.
struct Completion {
  size_t begin = 0, end = 0;
  std::vector<Candidate> candidates{};
  bool is_command = false;
  bool empty() const { return candidates.empty(); }
};

// For the word that the cursor (in bytes) stands in or after. `files`: relative paths.
Completion complete(std::string_view text, size_t cursor, std::span<const std::string> files);

// Of `files` those that fit `typed` best, at most `max`: names that begin so, then paths that contain it,
// then those that have its letters in order.
std::vector<std::string> matching_files(std::string_view typed, std::span<const std::string> files,
                                        size_t max);

}  // namespace atelier::agent::tui
