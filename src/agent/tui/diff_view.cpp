#include "agent/tui/diff_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "agent/tui/highlight.h"

namespace atelier::agent::tui {
namespace {

// Past so many changed lines a shorter edit is not worth looking for: memory grows with the square.
constexpr size_t kMaxEdits = 1000;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

using Texts = std::span<const std::string_view>;

// For each number of edits the furthest points reached, until the end is; nothing past kMaxEdits.
std::optional<std::vector<std::vector<size_t>>> furthest_points(Texts a, Texts b) {
  std::vector<std::vector<size_t>> trace;
  for (size_t d = 0; d <= std::min(a.size() + b.size(), kMaxEdits); ++d) {
    // Diagonals -d, -d + 2, … d, stored at 0, 1, … d; x on each.
    std::vector<size_t> reached(d + 1);
    for (size_t i = 0; i <= d; ++i) {
      size_t x = 0;
      if (d > 0) {
        const std::vector<size_t>& before = trace.back();
        const bool down = i == 0 || (i < d && before[i - 1] < before[i]);
        x = down ? before[i] : before[i - 1] + 1;
      }
      const auto y_of = [&](size_t at) { return at + d - 2 * i; };  // y = x - k with k = 2i - d
      while (x < a.size() && y_of(x) < b.size() && a[x] == b[y_of(x)]) ++x;
      reached[i] = x;
      if (x >= a.size() && y_of(x) >= b.size()) {
        trace.push_back(std::move(reached));
        return trace;
      }
    }
    trace.push_back(std::move(reached));
  }
  return std::nullopt;
}

// Kinds of the lines of an edit, in order.
std::vector<DiffLine::Kind> edit_script(Texts a, Texts b) {
  using Kind = DiffLine::Kind;
  std::vector<Kind> script;
  const auto trace = furthest_points(a, b);
  if (!trace) {
    script.assign(a.size(), Kind::kRemoved);
    script.insert(script.end(), b.size(), Kind::kAdded);
    return script;
  }
  size_t x = a.size(), y = b.size();
  for (size_t d = trace->size() - 1; d > 0; --d) {
    const size_t i = (x + d - y) / 2;  // the diagonal
    const std::vector<size_t>& before = (*trace)[d - 1];
    const bool down = i == 0 || (i < d && before[i - 1] < before[i]);
    const size_t from_x = down ? before[i] : before[i - 1];
    const size_t from_y = from_x + (d - 1) - 2 * (down ? i : i - 1);
    const size_t start_x = down ? from_x : from_x + 1;
    for (; x > start_x; --x, --y) script.push_back(Kind::kSame);
    script.push_back(down ? Kind::kAdded : Kind::kRemoved);
    x = from_x;
    y = from_y;
  }
  for (; x > 0; --x) script.push_back(Kind::kSame);
  std::ranges::reverse(script);
  return script;
}

// Which lines are near a change; the others are left out.
std::vector<bool> near_changes(std::span<const DiffLine> lines, size_t context) {
  std::vector<bool> shown(lines.size(), false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].kind == DiffLine::Kind::kSame) continue;
    const size_t end = std::min(lines.size(), i + context + 1);
    for (size_t at = i > context ? i - context : 0; at < end; ++at) shown[at] = true;
  }
  return shown;
}

bool is_binary(std::string_view text) { return text.substr(0, 8192).find('\0') != std::string_view::npos; }

std::string_view content_of(const std::optional<FileVersion>& version) {
  return version ? std::string_view(version->content) : std::string_view();
}

}  // namespace

std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after) {
  using Kind = DiffLine::Kind;
  const std::vector<std::string_view> a = split_lines(before), b = split_lines(after);
  size_t begin = 0, tail = 0;
  while (begin < a.size() && begin < b.size() && a[begin] == b[begin]) ++begin;
  while (tail < a.size() - begin && tail < b.size() - begin &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  std::vector<Kind> script(begin, Kind::kSame);
  const std::vector<Kind> middle = edit_script(Texts(a).subspan(begin, a.size() - begin - tail),
                                               Texts(b).subspan(begin, b.size() - begin - tail));
  script.insert(script.end(), middle.begin(), middle.end());
  script.insert(script.end(), tail, Kind::kSame);
  std::vector<DiffLine> lines;
  size_t x = 0, y = 0;
  for (const Kind kind : script) {
    const bool in_a = kind != Kind::kAdded, in_b = kind != Kind::kRemoved;
    lines.push_back({kind, in_a ? a[x] : b[y], in_a ? x + 1 : 0, in_b ? y + 1 : 0});
    x += in_a ? 1 : 0;
    y += in_b ? 1 : 0;
  }
  return lines;
}

DiffStat diff_stat(std::span<const DiffLine> lines) {
  DiffStat stat;
  for (const DiffLine& line : lines) {
    stat.added += line.kind == DiffLine::Kind::kAdded ? 1 : 0;
    stat.removed += line.kind == DiffLine::Kind::kRemoved ? 1 : 0;
  }
  return stat;
}

Line diff_title(const FileChange& change, bool unicode) {
  const std::string_view before = content_of(change.before), after = content_of(change.after);
  Line line;
  if (!change.before && change.moved_from.empty()) line.add("new file ", kDim);
  if (!change.after && change.moved_to.empty()) line.add("deleted ", kDim);
  if (!change.moved_from.empty()) line.add(printable(change.moved_from) + (unicode ? " → " : " -> "), kBold);
  line.add(printable(change.path), kBold);
  if (is_binary(before) || is_binary(after)) return line.add(" (binary)", kDim);
  const DiffStat stat = diff_stat(diff_lines(before, after));
  line.add(" (", kDim);
  if (stat.added > 0 || stat.removed == 0) line.add(fmt::format("+{}", stat.added), coloured(Colour::kGreen));
  if (stat.added > 0 && stat.removed > 0) line.add(" ");
  if (stat.removed > 0)
    line.add(fmt::format("{}{}", unicode ? "−" : "-", stat.removed), coloured(Colour::kRed));
  return line.add(")", kDim);
}

Lines diff_view(const FileChange& change, const DiffOptions& options) {
  const std::string_view before = content_of(change.before), after = content_of(change.after);
  Lines out = {diff_title(change, options.unicode)};
  if (is_binary(before) || is_binary(after)) return out;
  const std::vector<DiffLine> lines = diff_lines(before, after);
  const std::vector<bool> shown = near_changes(lines, options.context);
  const size_t digits = std::max<size_t>(3, std::to_string(lines.size()).size());
  Highlighter highlighter(language_of_file(change.path));
  size_t n_shown = 0, n_left = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const DiffLine& line = lines[i];
    if (!shown[i]) continue;
    if (n_shown >= options.max_lines) {
      ++n_left;
      continue;
    }
    if (n_shown > 0 && !shown[i - 1]) {
      out.push_back(Line(std::string(digits, ' ') + (options.unicode ? " ⋮" : " :"), kDim));
      highlighter = Highlighter(language_of_file(change.path));
    }
    ++n_shown;
    const bool added = line.kind == DiffLine::Kind::kAdded, removed = line.kind == DiffLine::Kind::kRemoved;
    const Style style = added ? coloured(Colour::kGreen) : removed ? coloured(Colour::kRed) : kPlain;
    const std::string number = fmt::format("{:>{}} ", removed ? line.before : line.after, digits);
    const std::string text = printable(line.text);
    Line first(number, kDim);
    first.add(added ? "+" : removed ? "-" : " ", style);
    // Colours say what changed; of what did not, what it is.
    const Line body = added || removed ? Line(text, style) : highlighter.line(text);
    for (Line& part : wrap(body, {.width = options.width,
                                  .first = first,
                                  .others = Line(std::string(digits + 2, ' ')),
                                  .words = false}))
      out.push_back(std::move(part));
  }
  if (n_left > 0)
    out.push_back(Line(fmt::format("{} {} more lines", options.unicode ? "…" : "...", n_left), kDim));
  return out;
}

}  // namespace atelier::agent::tui
