#include "agent/context/mentions.h"

#include <algorithm>
#include <charconv>

#include "agent/tools/file_walk.h"
#include "agent/tools/output_text.h"

namespace atelier::agent {
namespace {

constexpr size_t kMaxMentions = 32;
constexpr size_t kMaxMentionedFile = size_t{4} << 20;
constexpr size_t kMaxListedNames = 200;

bool is_break(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

size_t leading_number(std::string_view text, size_t& used) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  used = error == std::errc() ? static_cast<size_t>(end - text.data()) : 0;
  return used == 0 ? 0 : value;
}

// "a.cpp:10-40" → "a.cpp", 10, 40; a colon that no number follows is part of the name.
Mention with_lines(std::string_view word) {
  Mention mention{.path = std::string(word)};
  const size_t colon = word.rfind(':');
  if (colon == std::string_view::npos) return mention;
  size_t used = 0;
  std::string_view rest = word.substr(colon + 1);
  const size_t first = leading_number(rest, used);
  if (first == 0) return mention;
  rest.remove_prefix(used);
  size_t last = first;
  if (rest.starts_with('-')) {
    last = leading_number(rest.substr(1), used);
    rest.remove_prefix(1 + used);
  }
  if (!rest.empty() || last < first) return mention;
  return {.path = std::string(word.substr(0, colon)), .first_line = first, .last_line = last};
}

std::string lines_of(std::string_view text, size_t first, size_t last) {
  size_t line = 1, begin = 0;
  for (; line < first && begin < text.size(); ++line)
    begin = std::min(text.find('\n', begin), text.size() - 1) + 1;
  size_t end = begin;
  for (; line <= last && end < text.size(); ++line) end = std::min(text.find('\n', end), text.size() - 1) + 1;
  return std::string(text.substr(begin, end - begin));
}

std::string listing(const Workspace& workspace, const std::string& folder) {
  std::string names;
  size_t n = 0;
  const auto walked = walk_files(workspace, {.folder = folder, .max_depth = 1}, [&](const WalkEntry& entry) {
    if (++n > kMaxListedNames) return Walk::kEnd;
    names += entry.path + (entry.kind == WalkEntry::Kind::kFolder ? "/\n" : "\n");
    return Walk::kOn;
  });
  if (!walked) return {};
  if (n > kMaxListedNames) names += "[and more]\n";
  return names.empty() ? "[an empty folder]\n" : names;
}

// A section for one mention; empty where there is nothing of that name.
std::string section(const Workspace& workspace, const Mention& mention, size_t max_bytes) {
  const auto relative = workspace.relative_folder(mention.path);
  if (!relative) return {};
  if (const auto file = workspace.read(*relative, kMaxMentionedFile)) {
    if (file->bytes.find('\0') != std::string::npos)
      return fmt::format("\n\n[{} is a binary file of {} bytes]\n", *relative, file->bytes.size());
    std::string text = plain_text(file->bytes);
    std::string range;
    if (mention.first_line > 0) {
      text = lines_of(text, mention.first_line, mention.last_line);
      range = fmt::format(", lines {} to {}", mention.first_line, mention.last_line);
    }
    text = shorten_middle(text, max_bytes, "[… {} bytes left out; open_file shows them …]").text;
    if (!text.empty() && text.back() != '\n') text += '\n';
    return fmt::format("\n\n# File {}{}\n\n{}", *relative, range, text);
  }
  const std::string names = listing(workspace, *relative);
  if (names.empty()) return {};
  return fmt::format("\n\n# Folder {}\n\n{}", relative->empty() ? "." : *relative, names);
}

}  // namespace

std::vector<Mention> mentions_in(std::string_view text) {
  std::vector<Mention> found;
  for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    const bool begins = at == 0 || is_break(text[at - 1]) ||
                        std::string_view("([{<\"'`").find(text[at - 1]) != std::string_view::npos;
    if (!begins || found.size() == kMaxMentions) continue;
    Mention mention;
    if (text.substr(at + 1).starts_with('"')) {
      const size_t end = text.find('"', at + 2);
      if (end == std::string_view::npos) continue;
      mention.path = text.substr(at + 2, end - at - 2);
    } else {
      size_t end = at + 1;
      while (end < text.size() && !is_break(text[end])) ++end;
      while (end > at + 1 && std::string_view(".,;:!?)]}>\"'`").find(text[end - 1]) != std::string_view::npos)
        --end;
      mention = with_lines(text.substr(at + 1, end - at - 1));
    }
    const bool known = std::ranges::any_of(found, [&](const Mention& other) {
      return other.path == mention.path && other.first_line == mention.first_line;
    });
    if (!mention.path.empty() && !known) found.push_back(std::move(mention));
  }
  return found;
}

std::string with_mentions(const Workspace& workspace, std::string_view task, const MentionOptions& options) {
  std::string text(task);
  size_t room = options.max_bytes;
  for (const Mention& mention : mentions_in(task)) {
    constexpr size_t kWorthwhile = 256;
    if (room < kWorthwhile) break;
    const std::string part = section(workspace, mention, std::min(room, options.max_file_bytes));
    room -= std::min(room, part.size());
    text += part;
  }
  return text;
}

}  // namespace atelier::agent
