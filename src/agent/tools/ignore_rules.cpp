#include "agent/tools/ignore_rules.h"

#include <ranges>

namespace atelier::agent {
namespace {

// Steps that one match may take: patterns with many stars are exponential without a limit.
constexpr int kMaxSteps = 20'000;

// The end of the class that begins at pattern[at] ("["), or npos; `matches` says whether `c` is in it.
size_t match_class(std::string_view pattern, size_t at, char c, bool& matches) {
  size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool found = false;
  for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
    const char low = pattern[i];
    const bool range = i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']';
    const char high = range ? pattern[i + 2] : low;
    found = found || (low <= c && c <= high);
    i += range ? 3 : 1;
  }
  matches = found != negated;
  return i < pattern.size() ? i + 1 : std::string_view::npos;
}

bool match(std::string_view pattern, std::string_view path, int& steps) {
  size_t p = 0, t = 0;
  while (p < pattern.size()) {
    if (++steps > kMaxSteps) return false;
    const char c = pattern[p];
    if (c == '*') {
      const bool deep = p + 1 < pattern.size() && pattern[p + 1] == '*';
      size_t next = p;
      while (next < pattern.size() && pattern[next] == '*') ++next;
      std::string_view rest = pattern.substr(next);
      // "**/" also stands for no folder at all.
      if (deep && rest.starts_with('/') && match(rest.substr(1), path.substr(t), steps)) return true;
      for (size_t from = t;; ++from) {
        if (match(rest, path.substr(from), steps)) return true;
        if (from >= path.size() || (path[from] == '/' && !deep)) return false;
      }
    }
    if (t >= path.size()) return false;
    if (c == '[') {
      bool matches = false;
      const size_t end = match_class(pattern, p, path[t], matches);
      if (end != std::string_view::npos) {
        if (!matches || path[t] == '/') return false;
        p = end, ++t;
        continue;
      }
    }
    if (c == '?' && path[t] != '/') {
      ++p, ++t;
      continue;
    }
    const bool escaped = c == '\\' && p + 1 < pattern.size();
    if (pattern[p + (escaped ? 1 : 0)] != path[t]) return false;
    p += escaped ? 2 : 1;
    ++t;
  }
  return t == path.size();
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view path) {
  int steps = 0;
  return match(pattern, path, steps);
}

IgnoreRules::IgnoreRules(std::string_view folder, std::string_view text) : folder_(folder) {
  for (const auto part : std::views::split(text, '\n')) {
    std::string_view line(part.begin(), part.end());
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    Rule rule;
    if (line[0] == '!') rule.keeps = true, line.remove_prefix(1);
    if (line.ends_with('/')) rule.folders_only = true, line.remove_suffix(1);
    rule.anchored = line.find('/') != std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    rule.pattern = line;
    if (!rule.pattern.empty()) rules_.push_back(std::move(rule));
  }
}

IgnoreRules::Verdict IgnoreRules::judge(std::string_view path, bool is_folder) const {
  if (!folder_.empty()) {
    if (!path.starts_with(folder_) || path.size() <= folder_.size() || path[folder_.size()] != '/')
      return Verdict::kNone;
    path.remove_prefix(folder_.size() + 1);
  }
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const Rule& rule : rules_ | std::views::reverse) {
    if (rule.folders_only && !is_folder) continue;
    if (glob_matches(rule.pattern, rule.anchored ? path : name))
      return rule.keeps ? Verdict::kKept : Verdict::kIgnored;
  }
  return Verdict::kNone;
}

}  // namespace atelier::agent
