#include "agent/context/repo_map.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <vector>

namespace atelier::agent {
namespace {

constexpr size_t kMaxFileBytesRead = 256 << 10;
constexpr size_t kSymbolsShown = 12;

struct MappedFileEntry {
  std::string path;
  std::vector<std::string> symbols;
  std::set<std::string> mentions;  // identifiers in it
  size_t depth = 0;
  double rank = 0;
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::set<std::string> identifiers(std::string_view text) {
  std::set<std::string> out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end - at >= 3) out.emplace(text.substr(at, end - at));
    at = std::max(end, at + 1);
  }
  return out;
}

std::string stem(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.find('.', 1));
}

// One point for each other file that mentions a symbol defined here, shared among all that define it.
void rank(std::vector<MappedFileEntry>& files) {
  std::unordered_map<std::string, size_t> definers;
  for (const MappedFileEntry& file : files) {
    for (const std::string& symbol : file.symbols) ++definers[symbol];
    ++definers[stem(file.path)];
  }
  std::unordered_map<std::string, size_t> mentioned;  // by how many files
  for (const MappedFileEntry& file : files)
    for (const std::string& word : file.mentions)
      if (definers.contains(word)) ++mentioned[word];
  for (MappedFileEntry& file : files) {
    const auto points = [&](const std::string& word) {
      const auto found = mentioned.find(word);
      return found == mentioned.end()
                 ? 0.0
                 : static_cast<double>(found->second) / static_cast<double>(definers[word]);
    };
    for (const std::string& symbol : file.symbols) file.rank += points(symbol);
    file.rank += points(stem(file.path)) + (file.symbols.empty() ? 0.0 : 1.0);
    file.rank /= static_cast<double>(1 + file.depth);
  }
}

struct Survey {
  std::vector<MappedFileEntry> files;
  bool whole = false;  // nothing was left out
};

// The files, and of those worth reading what they define and mention.
std::optional<Survey> survey(const Workspace& workspace, const RepoMapOptions& options) {
  Survey found;
  std::vector<WalkEntry> worth_reading;
  const auto walked = walk_files(workspace, {.max_entries = options.max_files}, [&](const WalkEntry& entry) {
    if (entry.kind != WalkEntry::Kind::kFile) return Walk::kOn;
    const bool readable = is_source_file(entry.path) && worth_reading.size() < options.max_read &&
                          entry.info.st_size <= static_cast<off_t>(kMaxFileBytesRead);
    if (readable) worth_reading.push_back(entry);
    found.files.push_back({.path = entry.path, .symbols = {}, .mentions = {}, .depth = entry.depth});
    return Walk::kOn;
  });
  if (!walked) return std::nullopt;
  found.whole = *walked;
  std::optional<FileSymbols> symbols;
  if (options.symbols && !worth_reading.empty()) symbols = options.symbols(worth_reading);
  size_t next = 0;
  for (MappedFileEntry& file : found.files) {
    if (next == worth_reading.size() || worth_reading[next].path != file.path) continue;
    ++next;
    const auto content = workspace.read(file.path, kMaxFileBytesRead);
    if (!content) continue;
    file.mentions = identifiers(content->bytes);
    file.symbols = symbols ? std::move((*symbols)[file.path]) : top_level_symbols(file.path, content->bytes);
  }
  return found;
}

// "src/a.cpp: Parser, parse, …"
std::string map_line(const MappedFileEntry& file) {
  const size_t n = std::min(file.symbols.size(), kSymbolsShown);
  std::string line = file.path;
  if (n > 0)
    line += fmt::format(
        ": {}{}",
        fmt::join(file.symbols.begin(), file.symbols.begin() + static_cast<std::ptrdiff_t>(n), ", "),
        n < file.symbols.size() ? ", …" : "");
  return line + "\n";
}

}  // namespace

std::string repo_map(const Workspace& workspace, const RepoMapOptions& options) {
  constexpr size_t kRestTokens = 16;  // of the line that says how many are left out
  std::optional<Survey> found = survey(workspace, options);
  if (!found || found->files.empty()) return {};
  std::vector<MappedFileEntry>& files = found->files;
  rank(files);
  std::ranges::sort(files, [](const auto& a, const auto& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.path < b.path;
  });
  const auto tokens = [&](std::string_view text) {
    constexpr size_t kBytesPerToken = 4;
    return options.count_tokens ? options.count_tokens(text) : text.size() / kBytesPerToken + 1;
  };
  std::string map;
  size_t shown = 0, used = kRestTokens;
  for (const MappedFileEntry& file : files) {
    const std::string line = map_line(file);
    // Lines end where tokens may: the sum is what the whole has, or a little more.
    used += tokens(line);
    if (used > options.max_tokens) break;
    map += line;
    ++shown;
  }
  if (shown < files.size() || !found->whole)
    map += fmt::format("[{}{} more files]\n", found->whole ? "" : "at least ", files.size() - shown);
  return map;
}

}  // namespace atelier::agent
