#include "agent/tui/completion.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>

namespace atelier::agent::tui {
namespace {

constexpr size_t kMaxCandidates = 8;

constexpr std::array kCommands = {
    CommandInfo{"/help", "", "says what can be typed"},
    CommandInfo{"/undo", "", "takes the last task back: files, conversation, cache"},
    CommandInfo{"/redo", "", "makes it again"},
    CommandInfo{"/fork", "", "goes on in a session of its own from here"},
    CommandInfo{"/sessions", "[ID]", "lists the sessions of this folder, or goes on with one"},
    CommandInfo{"/diff", "", "shows what this session has changed"},
    CommandInfo{"/plan", "[TASK]", "shows the plan, or asks for one before anything is changed"},
    CommandInfo{"/compact", "", "shortens the conversation to a summary"},
    CommandInfo{"/clear", "", "begins a new session"},
    CommandInfo{"/model", "[NAME]", "says which model works, or goes on with another"},
    CommandInfo{"/sandbox", "[read-only|workspace|full]", "what commands and edits may do"},
    CommandInfo{"/approve", "[ask|auto|never]", "what happens to the rest"},
    CommandInfo{"/init", "", "has the model write AGENTS.md for this repository"},
    CommandInfo{"/cost", "", "tokens, seconds and energy so far"},
    CommandInfo{"/quit", "", "leaves; the session can be taken up again"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

size_t find_folded(std::string_view text, std::string_view part) {
  const auto at = std::ranges::search(text, part, {}, lower, lower);
  return at.begin() == text.end() && !part.empty() ? std::string_view::npos
                                                   : static_cast<size_t>(at.begin() - text.begin());
}

bool has_letters_in_order(std::string_view text, std::string_view letters) {
  size_t at = 0;
  for (const char c : text)
    if (at < letters.size() && lower(c) == lower(letters[at])) ++at;
  return at == letters.size();
}

// Smaller is better; nothing: no match.
std::optional<size_t> rank(std::string_view path, std::string_view typed) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (find_folded(name, typed) == 0 || find_folded(path, typed) == 0) return 0;
  if (find_folded(path, typed) != std::string_view::npos) return 1;
  if (has_letters_in_order(path, typed)) return 2;
  return std::nullopt;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

}  // namespace

std::span<const CommandInfo> commands() { return kCommands; }

std::vector<std::string> matching_files(std::string_view typed, std::span<const std::string> files,
                                        size_t max) {
  std::vector<std::tuple<size_t, size_t, std::string_view>> found;
  for (const std::string& file : files)
    if (const auto r = rank(file, typed)) found.emplace_back(*r, file.size(), file);
  const size_t n = std::min(max, found.size());
  std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(n));
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) out.emplace_back(std::get<2>(found[i]));
  return out;
}

Completion complete(std::string_view text, size_t cursor, std::span<const std::string> files) {
  Completion out;
  size_t begin = cursor;
  while (begin > 0 && !is_space(text[begin - 1])) --begin;
  const std::string_view typed = text.substr(begin, cursor - begin);
  out.begin = begin;
  out.end = cursor;
  if (begin == 0 && typed.starts_with('/')) {
    out.is_command = true;
    for (const CommandInfo& command : kCommands)
      if (command.name.starts_with(typed))
        out.candidates.push_back({std::string(command.name), std::string(command.help)});
    return out;
  }
  if (!typed.starts_with('@')) return out;
  for (std::string& file : matching_files(typed.substr(1), files, kMaxCandidates))
    out.candidates.push_back({"@" + file, ""});
  return out;
}

}  // namespace atelier::agent::tui
