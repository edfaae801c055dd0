#include "agent/patch/patch_language.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/patch/hunk_language.h"
#include "agent/patch/text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using constraint::CodePointSet;
using constraint::ExprAutomaton;
using constraint::ExprId;
using constraint::GrammarBuilder;
using constraint::kUnbounded;

constexpr size_t kMaxSegment = 64;  // of a new file's path
constexpr size_t kMaxNewFolders = 4;

// Names of files without a dot inside that are common all the same; no new folder has one of them.
const std::vector<std::string>& dotless_files() {
  static const std::vector<std::string> names = {
      "Makefile",    "Dockerfile",    "LICENSE",       "README",        "Gemfile",
      "Rakefile",    "Justfile",      "BUILD",         ".gitignore",    ".gitattributes",
      ".clang-tidy", ".clang-format", ".editorconfig", ".dockerignore", ".prettierrc"};
  return names;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

// States and edges of one automaton, added as they come.
class Automaton {
 public:
  uint32_t state(bool accepting = false) {
    automaton_.states.push_back({.edges = {}, .accepting = accepting});
    return static_cast<uint32_t>(automaton_.states.size() - 1);
  }
  uint32_t states(size_t n) {
    const auto first = static_cast<uint32_t>(automaton_.states.size());
    automaton_.states.resize(automaton_.states.size() + n);
    return first;
  }
  void edge(uint32_t from, ExprId label, uint32_t to) {
    automaton_.states[from].edges.push_back({label, to});
  }
  void accept(uint32_t state) { automaton_.states[state].accepting = true; }
  const ExprAutomaton& get() const { return automaton_; }

 private:
  ExprAutomaton automaton_;
};

class PatchWriter {
 public:
  PatchWriter(GrammarBuilder& builder, PatchSpelling spelling)
      : b_(builder), json_(spelling == PatchSpelling::kJson) {
    newline_ = b_.bytes(json_ ? "\\n" : "\n");
    const constraint::RuleId rule = b_.declare("free line");
    b_.define(rule, b_.sequence({b_.repeat(any_character(), 0, kUnbounded), newline_}));
    free_line_ = b_.rule(rule);
    const constraint::RuleId added = b_.declare("added line");
    b_.define(added, b_.sequence({b_.bytes("+"), free_line_}));
    added_ = b_.rule(added);
  }

  Result<ExprId> patch(const PatchScope& scope) {
    if (!scope.folders.empty()) {
      const constraint::RuleId path = b_.declare("new path");
      b_.define(path, new_path(scope.folders));
      new_path_ = b_.rule(path);
    }
    // Sections in any order; that no file is named twice is PatchGuard's to see to.
    Automaton all;
    const uint32_t start = all.state(), first = all.state(), second = all.state();
    const uint32_t end = all.state(/*accepting=*/true);
    all.edge(start, line("*** Begin Patch"), first);
    all.edge(second, b_.bytes("*** End Patch"), end);
    ATELIER_TRY(const std::vector<ExprId> sections, all_sections(scope));
    for (const uint32_t from : {first, second})
      for (const ExprId section : sections) all.edge(from, section, second);
    return b_.automaton(all.get());
  }

 private:
  std::string spelt(std::string_view text) const {
    return patch_text(text, json_ ? PatchSpelling::kJson : PatchSpelling::kPlain);
  }
  std::string whole_line(std::string_view text) const { return spelt(text) + (json_ ? "\\n" : "\n"); }
  ExprId text(std::string_view bytes) { return bytes.empty() ? b_.empty() : b_.bytes(spelt(bytes)); }
  ExprId line(std::string_view bytes) { return b_.bytes(whole_line(bytes)); }

  // Of added lines: everything but controls.
  ExprId any_character() {
    CodePointSet plain = {{0x20, 0x7e}, {0xa0, constraint::kLastCodePoint}};
    if (!json_) {
      plain.add('\t');
      return b_.chars(plain);
    }
    const CodePointSet hex = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
    const auto set = [this](const CodePointSet& chars) { return b_.chars(chars); };
    const ExprId any = set(hex);
    // No controls, no halves of surrogate pairs.
    const ExprId code = b_.choice(
        {b_.sequence({b_.bytes("00"), set({{'2', '7'}, {'A', 'F'}, {'a', 'f'}}), any}),
         b_.sequence({b_.bytes("0"), set({{'1', '9'}, {'A', 'F'}, {'a', 'f'}}), any, any}),
         b_.sequence({set({{'1', '9'}, {'A', 'C'}, {'a', 'c'}, {'E', 'F'}, {'e', 'f'}}), any, any, any}),
         b_.sequence({set({{'D', 'D'}, {'d', 'd'}}), set({{'0', '7'}}), any, any})});
    const CodePointSet quoted = {{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'t', 't'}};
    return b_.choice(
        {b_.chars(plain.minus({{'"', '"'}, {'\\', '\\'}})),
         b_.sequence({b_.bytes("\\"), b_.choice({set(quoted), b_.sequence({b_.bytes("u"), code})})})});
  }

  // Of a file that is too long: any lines.
  ExprId free_hunks() {
    const ExprId heading = b_.choice({line("@@"), b_.sequence({b_.bytes("@@ "), free_line_})});
    const ExprId one = b_.sequence({b_.chars({{' ', ' '}, {'-', '-'}, {'+', '+'}}), free_line_});
    return b_.repeat(b_.sequence({heading, b_.repeat(one, 1, kUnbounded)}), 1, kUnbounded);
  }

  // Each begins with bytes, as far as they are known, so that they become one tree of letters.
  Result<std::vector<ExprId>> all_sections(const PatchScope& scope) {
    std::vector<ExprId> sections;
    if (!b_.is_never(new_path_))
      sections.push_back(
          b_.sequence({b_.bytes("*** Add File: "), new_path_, newline_, b_.repeat(added_, 1, kUnbounded)}));
    for (const PatchableFile& file : scope.files) {
      const constraint::RuleId rule = b_.declare("update of " + file.path);
      if (!file.bound) {
        b_.define(rule, free_hunks());
      } else {
        ATELIER_TRY(
            const ExprId hunks,
            hunk_language(b_, {added_, [this](std::string_view text) { return whole_line(text); }}, file));
        const ExprId move = b_.sequence({b_.bytes("*** Move to: "), new_path_, newline_});
        b_.define(rule, b_.sequence({b_.optional(move), hunks}));
        sections.push_back(line("*** Delete File: " + file.path));
      }
      sections.push_back(b_.sequence({line("*** Update File: " + file.path), b_.rule(rule)}));
    }
    return sections;
  }

  // A name's letters, those of `taken` left out, in any case of letters.
  ExprId new_name(const std::vector<std::string>& taken, bool dots) {
    const CodePointSet letters =
        dots ? CodePointSet{{'A', 'Z'}, {'a', 'z'}, {'0', '9'}, {'_', '_'}, {'-', '-'}, {'.', '.'}}
             : CodePointSet{{'A', 'Z'}, {'a', 'z'}, {'0', '9'}, {'_', '_'}, {'-', '-'}};
    const ExprId rest = b_.repeat(b_.chars(letters), 0, kMaxSegment);
    // A tree of the names that are taken; leaving it makes a name new.
    struct Node {
      std::map<char, uint32_t> children;
      bool taken = false;
    };
    std::vector<Node> nodes(1);
    nodes[0].taken = true;
    for (const std::string& name : taken) {
      uint32_t at = 0;
      for (const char c : lower(name)) {
        const auto [child, is_new] = nodes[at].children.try_emplace(c, static_cast<uint32_t>(nodes.size()));
        at = child->second;
        if (is_new) nodes.emplace_back();
      }
      nodes[at].taken = true;
    }
    Automaton all;
    all.states(nodes.size());
    const uint32_t free = all.state(/*accepting=*/true);
    for (uint32_t i = 0; i < nodes.size(); ++i) {
      CodePointSet others = letters;
      for (const auto& [c, child] : nodes[i].children) {
        const auto letter = static_cast<char32_t>(static_cast<unsigned char>(c));
        if (!letters.contains(letter)) continue;  // no new name has it
        CodePointSet same;
        same.add(letter);
        if (c >= 'a' && c <= 'z') same.add(letter - 32);
        others = others.minus(same);
        all.edge(i, b_.chars(same), child);
      }
      if (i == 0) others = others.minus({{'-', '-'}, {'.', '.'}});  // no option, no hidden file
      if (!others.empty()) all.edge(i, b_.sequence({b_.chars(others), rest}), free);
      if (!nodes[i].taken) all.accept(i);
    }
    return b_.automaton(all.get());
  }

  // New folders have no dot in their names and new files have one, or are one of the well-known: so that no
  // patch makes a file and a folder of the same name.
  ExprId new_path(const std::vector<PatchableFolder>& folders) {
    const ExprId folder = b_.sequence({new_name(dotless_files(), /*dots=*/false), b_.bytes("/")});
    const ExprId file = new_file({});
    std::vector<ExprId> paths;
    for (const PatchableFolder& place : folders) {
      std::vector<std::string> taken = place.names;
      taken.insert(taken.end(), dotless_files().begin(), dotless_files().end());
      const ExprId deeper = b_.sequence(
          {new_name(taken, /*dots=*/false), b_.bytes("/"), b_.repeat(folder, 0, kMaxNewFolders), file});
      const ExprId name = b_.choice({new_file(place.names), deeper});
      paths.push_back(place.path.empty() ? name : b_.sequence({text(place.path + "/"), name}));
    }
    return b_.choice(paths);
  }

  ExprId new_file(const std::vector<std::string>& taken) {
    // name.extension, neither empty; what is taken is left out where it has that form.
    std::vector<ExprId> choices;
    for (const std::string& name : dotless_files()) {
      const bool is_taken =
          std::ranges::any_of(taken, [&](const std::string& other) { return lower(other) == lower(name); });
      if (!is_taken) choices.push_back(b_.bytes(name));
    }
    choices.push_back(dotted_name(taken));
    return b_.choice(choices);
  }

  // As new_name, with at least one dot inside.
  ExprId dotted_name(const std::vector<std::string>& taken) {
    const CodePointSet plain = {{'A', 'Z'}, {'a', 'z'}, {'0', '9'}, {'_', '_'}, {'-', '-'}};
    // "stem.rest": the stem has no dot; for a stem that taken names have, the rest is new among theirs.
    std::map<std::string, std::vector<std::string>> rests;
    for (const std::string& name : taken)
      if (const size_t dot = name.find('.'); dot != std::string::npos && dot > 0)
        rests[lower(name.substr(0, dot))].push_back(name.substr(dot + 1));
    const ExprId extension = b_.repeat(b_.chars(plain), 1, 16);
    const ExprId free_rest =
        b_.sequence({extension, b_.repeat(b_.sequence({b_.bytes("."), extension}), 0, 3)});
    std::vector<std::string> stems;
    std::vector<ExprId> choices;
    for (const auto& [stem, taken_rests] : rests) {
      stems.push_back(stem);
      choices.push_back(b_.sequence({any_case(stem), b_.bytes("."), new_name(taken_rests, /*dots=*/false)}));
    }
    choices.push_back(b_.sequence({new_name(stems, /*dots=*/false), b_.bytes("."), free_rest}));
    return b_.choice(choices);
  }

  ExprId any_case(std::string_view lower_text) {
    std::vector<ExprId> parts;
    for (const char c : lower_text) {
      const auto letter = static_cast<char32_t>(static_cast<unsigned char>(c));
      CodePointSet same;
      same.add(letter);
      if (c >= 'a' && c <= 'z') same.add(letter - 32);
      parts.push_back(b_.chars(same));
    }
    return b_.sequence(parts);
  }

  GrammarBuilder& b_;
  bool json_;
  ExprId newline_, free_line_, added_;
  ExprId new_path_ = 1;  // never, until there are folders
};

}  // namespace

std::string patch_text(std::string_view text, PatchSpelling spelling) {
  if (spelling == PatchSpelling::kPlain) return std::string(text);
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out;
}

bool is_patchable(std::string_view path, std::string_view content) {
  return std::ranges::none_of(path, is_control_byte) && is_utf8(path) && trimmed(path) == path &&
         !path.empty() && content.find('\0') == std::string_view::npos;
}

Result<constraint::ExprId> patch_language(GrammarBuilder& builder, const PatchScope& scope,
                                          PatchSpelling spelling) {
  if (scope.empty())
    return fail(ErrorCode::kInvalidArgument, "patch: expected files or folders that may change, found none");
  ATELIER_TRY(const ExprId patch, PatchWriter(builder, spelling).patch(scope));
  if (builder.full())
    return fail(ErrorCode::kLimit, "patch: the files are too long to be offered line by line");
  return patch;
}

}  // namespace atelier::agent
