#include "agent/context/symbols.h"

#include <algorithm>
#include <array>
#include <span>

namespace atelier::agent {
namespace {

enum class Language : uint8_t { kNone, kKeyword, kC };

bool is_identifier_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

Language language_of(std::string_view path) {
  constexpr std::array<std::string_view, 18> kKeyword = {"py",    "js",  "mjs", "cjs",   "jsx",  "ts",
                                                         "tsx",   "rs",  "go",  "rb",    "java", "kt",
                                                         "swift", "php", "cs",  "scala", "lua",  "sh"};
  constexpr std::array<std::string_view, 9> kC = {"c", "h", "cc", "cpp", "cxx", "hpp", "hh", "cu", "m"};
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || path.find('/', dot) != std::string_view::npos) return Language::kNone;
  const std::string_view extension = path.substr(dot + 1);
  if (std::ranges::find(kKeyword, extension) != kKeyword.end()) return Language::kKeyword;
  return std::ranges::find(kC, extension) != kC.end() ? Language::kC : Language::kNone;
}

std::string_view word_at(std::string_view line, size_t at) {
  size_t end = at;
  while (end < line.size() && is_identifier_char(line[end])) ++end;
  return line.substr(at, end - at);
}

// The name after "class", "def", "fn" …, modifiers before it passed over.
std::string_view keyword_name(std::string_view line) {
  constexpr std::array<std::string_view, 22> kModifiers = {
      "export",   "default", "async",  "public",   "private", "protected", "static",   "final",
      "abstract", "pub",     "crate",  "unsafe",   "declare", "open",      "internal", "sealed",
      "data",     "inline",  "extern", "override", "case",    "local"};
  constexpr std::array<std::string_view, 19> kDefine = {
      "class", "def", "function", "fn",        "func",   "struct", "enum", "trait",  "interface",  "type",
      "impl",  "mod", "module",   "namespace", "object", "const",  "let",  "record", "macro_rules"};
  size_t at = 0;
  for (int words = 0; words < 6; ++words) {
    const std::string_view word = word_at(line, at);
    if (word.empty()) return {};
    at += word.size();
    const bool defines = std::ranges::find(kDefine, word) != kDefine.end();
    if (!defines && std::ranges::find(kModifiers, word) == kModifiers.end()) return {};
    while (at < line.size() && (line[at] == ' ' || line[at] == '*' || line[at] == '!')) ++at;
    if (defines && at < line.size() && line[at] == '(') {  // Go's receiver
      at = line.find(')', at);
      if (at == std::string_view::npos) return {};
      at = line.find_first_not_of(" )", at);
      if (at == std::string_view::npos) return {};
    }
    if (!defines && at < line.size() && line[at] == '(') {  // pub(crate)
      at = line.find(')', at);
      if (at == std::string_view::npos) return {};
      at = std::min(line.find_first_not_of(" )", at), line.size());
    }
    if (defines) {
      const std::string_view name = word_at(line, at);
      if (std::ranges::find(kDefine, name) == kDefine.end()) return name;  // "const fn f", "enum class E"
    }
  }
  return {};
}

// C and C++: a class, struct, enum, or what stands before "(" on a line without a semicolon before it.
std::string_view c_name(std::string_view line) {
  for (const std::string_view word : {"class ", "struct ", "enum class ", "enum ", "union ", "#define "})
    if (line.starts_with(word)) {
      const bool forward = line.back() == ';' && line.find('{') == std::string_view::npos;
      return forward ? std::string_view() : word_at(line, word.size());
    }
  if (line[0] == '#' || line[0] == '/' || line[0] == '*' || !is_identifier_char(line[0])) return {};
  for (const std::string_view word :
       {"return ", "else", "if ", "for ", "while ", "using ", "typedef ", "namespace ", "template"})
    if (line.starts_with(word)) return {};
  const size_t open = line.find('(');
  if (open == std::string_view::npos || open == 0 || line.find('=') < open) return {};
  size_t begin = open;
  while (begin > 0 && is_identifier_char(line[begin - 1])) --begin;
  if (begin == 0) return {};  // a macro's use
  return line.substr(begin, open - begin);
}

}  // namespace

bool is_source_file(std::string_view path) { return language_of(path) != Language::kNone; }

std::vector<std::string> top_level_symbols(std::string_view path, std::string_view text) {
  constexpr size_t kMaxSymbols = 200;
  std::vector<std::string> names;
  const Language language = language_of(path);
  if (language == Language::kNone) return names;
  for (size_t at = 0; at < text.size() && names.size() < kMaxSymbols;) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty() || line[0] == ' ' || line[0] == '\t') continue;
    const std::string_view name = language == Language::kC ? c_name(line) : keyword_name(line);
    if (name.size() < 2 || (name[0] >= '0' && name[0] <= '9')) continue;
    if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
  }
  return names;
}

}  // namespace atelier::agent
