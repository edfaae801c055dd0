#include "agent/patch/replace_language.h"

#include <algorithm>

#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using constraint::ExprAutomaton;
using constraint::ExprId;

// More lines than this that stand somewhere else as well: nobody names such a place by its text.
constexpr size_t kMaxNeeded = 6;
constexpr size_t kMaxLineBytes = 2000;
// Of all files: each line is sought in all of its file.
constexpr size_t kMaxPieceBytes = 96 << 10, kMaxPieceLines = 3000;

struct Piece {
  size_t begin, end;  // bytes of the file, without the line's end
};

std::vector<Piece> lines_of(std::string_view text) {
  std::vector<Piece> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back({at, end});
    at = end + 1;
  }
  return lines;
}

bool stands_once(std::string_view text, Piece piece) {
  const std::string_view wanted = text.substr(piece.begin, piece.end - piece.begin);
  return !wanted.empty() && text.find(wanted) == piece.begin &&
         text.find(wanted, piece.begin + 1) == std::string_view::npos;
}

// As in a JSON string, quotes not included.
std::string spelt(std::string_view text) {
  const std::string quoted = constraint::json_string_text(text);
  return quoted.substr(1, quoted.size() - 2);
}

// State p + 1: the piece ends before line p, or goes on with it.
ExprId pieces(constraint::GrammarBuilder& builder, std::string_view text) {
  const std::vector<Piece> lines = lines_of(text);
  std::vector<bool> usable;
  for (const Piece& line : lines) {
    const std::string_view one = text.substr(line.begin, line.end - line.begin);
    usable.push_back(one.size() <= kMaxLineBytes && is_utf8(one));
  }
  ExprAutomaton all;
  all.states.resize(lines.size() + 2);
  for (size_t first = 0; first < lines.size(); ++first) {
    const size_t limit = std::min(lines.size(), first + kMaxNeeded);
    for (size_t last = first; last < limit && usable[last]; ++last) {
      const Piece piece{lines[first].begin, lines[last].end};
      if (!stands_once(text, piece)) continue;
      const std::string bytes = spelt(text.substr(piece.begin, piece.end - piece.begin));
      all.states[0].edges.push_back({builder.bytes(bytes), static_cast<uint32_t>(last + 2)});
      break;
    }
    auto& inside = all.states[first + 1];
    inside.accepting = first > 0;
    if (first > 0 && usable[first]) {
      const std::string bytes =
          "\\n" + spelt(text.substr(lines[first].begin, lines[first].end - lines[first].begin));
      inside.edges.push_back({builder.bytes(bytes), static_cast<uint32_t>(first + 2)});
    }
  }
  all.states[lines.size() + 1].accepting = true;
  return all.states[0].edges.empty() ? builder.never() : builder.automaton(all);
}

// With other line ends than the model sees, several lines are never found.
bool is_plain(const PatchableFile& file) { return file.content.find('\r') == std::string::npos; }

}  // namespace

Result<ExprId> replace_language(constraint::JsonLanguage& json, const PatchScope& scope) {
  constraint::GrammarBuilder& builder = json.builder();
  const auto member = [&](const char* name, ExprId value) {
    return builder.sequence({json.quoted(builder.bytes(name)), json.colon(), value});
  };
  const ExprId any = json.quoted(builder.repeat(json.string_char(), 1, constraint::kUnbounded));
  std::vector<ExprId> files;
  size_t bytes = 0, lines = 0;
  for (const PatchableFile& file : scope.files) {
    if (file.bound && !is_plain(file)) continue;
    const auto n_lines = static_cast<size_t>(std::ranges::count(file.content, '\n')) + 1;
    const bool bound =
        file.bound && bytes + file.content.size() <= kMaxPieceBytes && lines + n_lines <= kMaxPieceLines;
    if (bound) bytes += file.content.size(), lines += n_lines;
    const ExprId piece = bound ? pieces(builder, file.content) : builder.empty();
    if (builder.is_never(piece)) continue;
    files.push_back(builder.sequence({member("path", json.quoted(builder.bytes(spelt(file.path)))),
                                      json.comma(), member("old", bound ? json.quoted(piece) : any),
                                      json.comma(), member("new", json.string())}));
  }
  const ExprId arguments = json.braced(builder.choice(files));
  if (builder.full()) return fail(ErrorCode::kLimit, "replace: the files are too long to be offered");
  return arguments;
}

}  // namespace atelier::agent
