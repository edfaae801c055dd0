#include "agent/tui/blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/tui/diff_view.h"

namespace atelier::agent::tui {
namespace {

constexpr double kWorthSaying = 1.0;  // seconds

std::vector<std::string> text_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (text.ends_with('\n')) text.remove_suffix(1);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(printable(text.substr(0, end)));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

Line mark(Item::State state, const BlockOptions& options) {
  const std::string dot = options.unicode ? "● " : "* ";
  switch (state) {
    case Item::State::kRunning:
      return Line(dot, coloured(Colour::kBlue));
    case Item::State::kCompleted:
      return Line(dot, coloured(Colour::kGreen));
    case Item::State::kFailed:
      return Line(dot, coloured(Colour::kRed));
    case Item::State::kDeclined:
      return Line(dot, coloured(Colour::kYellow));
  }
  return Line(dot);
}

// "Ran", "Running", "Not run": what became of it.
std::string_view verb(const Item& item) {
  using Kind = Item::Kind;
  using State = Item::State;
  const bool running = item.state == State::kRunning, declined = item.state == State::kDeclined,
             failed = item.state == State::kFailed;
  switch (item.kind) {
    case Kind::kCommand:
      return running ? "Running" : declined ? "Not run:" : "Ran";
    case Kind::kPatch:
      return running ? "Editing" : declined ? "Not edited:" : failed ? "Could not edit" : "Edited";
    case Kind::kPlan:
      return "Plan";
    default:
      return running ? "Using" : "Used";
  }
}

Lines titled(const Line& head, std::string_view text, const BlockOptions& options) {
  const size_t indent = 2;
  Lines out;
  std::vector<std::string> lines = text_lines(text);
  if (lines.empty()) lines.emplace_back();
  for (size_t i = 0; i < lines.size(); ++i) {
    Line body(lines[i]);
    for (Line& part : wrap(body, {.width = options.width,
                                  .first = i == 0 ? head : Line(std::string(indent + 2, ' ')),
                                  .others = Line(std::string(indent + 2, ' '))}))
      out.push_back(std::move(part));
  }
  return out;
}

void add_output(const std::vector<std::string>& lines, size_t max_lines, const BlockOptions& options,
                Lines& out) {
  const std::string bar = options.unicode ? "  │ " : "  | ";
  const auto add = [&](const std::string& text) {
    out.push_back(clipped(Line(bar, kDim).add(text, kDim), options.width, options.unicode));
  };
  const size_t head = lines.size() <= max_lines ? lines.size() : max_lines / 3;
  for (size_t i = 0; i < head; ++i) add(lines[i]);
  if (head == lines.size()) return;
  const size_t tail = max_lines - head - 1;
  add(fmt::format("{} {} more lines", options.unicode ? "…" : "...", lines.size() - head - tail));
  for (size_t i = lines.size() - tail; i < lines.size(); ++i) add(lines[i]);
}

}  // namespace

std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  const auto whole = static_cast<long>(seconds);
  return fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

std::string count_text(size_t n) {
  return n < 1000 ? std::to_string(n) : fmt::format("{:.1f}k", static_cast<double>(n) / 1000);
}

Lines message_block(std::string_view text, const BlockOptions& options) {
  Lines out;
  const std::vector<std::string> lines = text_lines(text);
  for (size_t i = 0; i < lines.size(); ++i)
    for (Line& part : wrap(Line(lines[i], kBold), {.width = options.width,
                                                   .first = Line(i > 0             ? "  "
                                                                 : options.unicode ? "› "
                                                                                   : "> ",
                                                                 coloured(Colour::kCyan)),
                                                   .others = Line("  ")}))
      out.push_back(std::move(part));
  return out;
}

Lines item_block(const Item& item, double seconds, const BlockOptions& options) {
  Line head = mark(item.state, options);
  head.add(std::string(verb(item)) + " ", kBold);
  Lines out;
  if (item.kind == Item::Kind::kTool) head = mark(item.state, options).add(printable(item.tool) + " ", kBold);
  if (item.kind == Item::Kind::kPlan) {
    out.push_back(head);
    Lines plan = plan_lines(item.plan, options);
    out.insert(out.end(), plan.begin(), plan.end());
    return out;
  }
  out = titled(head, item.text, options);
  std::string facts;
  if (item.exit_code && *item.exit_code != 0) facts = fmt::format("exit {}", *item.exit_code);
  if (seconds >= kWorthSaying) facts += (facts.empty() ? "" : ", ") + duration_text(seconds);
  if (!facts.empty()) out.back().add(" (" + facts + ")", kDim);
  const bool edits = !item.changes.empty();
  if (edits) {
    if (item.kind == Item::Kind::kPatch) out.clear();
    for (const FileChange& change : item.changes) {
      // The half of a move that only takes the old name away says nothing new.
      if (!change.after && !change.moved_to.empty()) continue;
      Lines lines = diff_view(change, {.width = options.width > 2 ? options.width - 2 : 1,
                                       .max_lines = options.max_diff_lines,
                                       .unicode = options.unicode});
      for (size_t i = 0; i < lines.size(); ++i) {
        Line line = i == 0 ? mark(item.state, options).add("Edited ", kBold) : Line("  ");
        out.push_back(line.add(lines[i]));
      }
    }
    return out;
  }
  if (item.kind == Item::Kind::kCommand || item.state != Item::State::kCompleted)
    add_output(text_lines(item.output), item.kind == Item::Kind::kCommand ? options.max_output_lines : 4,
               options, out);
  return out;
}

Lines running_block(const Item& item, std::string_view output, const BlockOptions& options) {
  Item running = item;
  running.output.clear();
  running.changes.clear();
  Lines out = item_block(running, 0, options);
  constexpr size_t kShown = 5;
  // Only the end is looked at: a command may have printed megabytes.
  constexpr size_t kTailBytes = 16 << 10;
  std::vector<std::string> lines =
      text_lines(output.substr(output.size() - std::min(output.size(), kTailBytes)));
  if (lines.size() > kShown) lines.erase(lines.begin(), lines.end() - kShown);
  add_output(lines, kShown, options, out);
  return out;
}

Lines reasoning_block(std::string_view text, double seconds, bool folded, const BlockOptions& options) {
  const Style style{.dim = true, .italic = true};
  if (folded)
    return {
        Line(fmt::format("{} Thought for {}", options.unicode ? "✻" : "*", duration_text(seconds)), style)};
  Lines out;
  for (const std::string& line : text_lines(text))
    for (Line& part :
         wrap(Line(line, style), {.width = options.width, .first = Line("  "), .others = Line("  ")}))
      out.push_back(std::move(part));
  return out;
}

Lines approval_block(const ApprovalRequest& request, const BlockOptions& options) {
  Lines out;
  const bool edit = request.kind == ToolKind::kPatch;
  Line head(options.unicode ? "▲ " : "! ", coloured(Colour::kYellow));
  head.add(edit ? "May these files be changed?" : "May this be run?", kBold);
  head.add(" " + printable(request.reason), kDim);
  for (Line& part : wrap(head, {.width = options.width, .first = {}, .others = Line("  ")}))
    out.push_back(std::move(part));
  if (!edit) {
    Lines command = titled(Line("  $ ", coloured(Colour::kCyan)), request.what, options);
    out.insert(out.end(), command.begin(), command.end());
  }
  for (const FileChange& change : request.changes) {
    if (!change.after && !change.moved_to.empty()) continue;
    for (const Line& line : diff_view(change, {.width = options.width > 2 ? options.width - 2 : 1,
                                               .max_lines = options.max_diff_lines,
                                               .unicode = options.unicode}))
      out.push_back(Line("  ").add(line));
  }
  return out;
}

Lines plan_lines(const std::vector<PlanStep>& plan, const BlockOptions& options) {
  Lines out;
  for (const PlanStep& step : plan) {
    const bool done = step.state == PlanStep::State::kDone, active = step.state == PlanStep::State::kActive;
    const std::string box = options.unicode ? (done ? "  ☑ " : "  ☐ ")
                                            : (done     ? "  [x] "
                                               : active ? "  [>] "
                                                        : "  [ ] ");
    const Style style = done ? kDim : active ? kBold : kPlain;
    for (Line& part : wrap(Line(printable(step.text), style),
                           {.width = options.width, .first = Line(box, style), .others = Line("    ")}))
      out.push_back(std::move(part));
  }
  return out;
}

Lines moved_lines(const MovedFiles& files, const BlockOptions& options) {
  static constexpr size_t kNamed = 8;
  const auto names = [](const std::vector<std::string>& paths) {
    std::string text;
    for (size_t i = 0; i < std::min(paths.size(), kNamed); ++i)
      text += (i == 0 ? "" : ", ") + printable(paths[i]);
    if (paths.size() > kNamed) text += fmt::format(" and {} more", paths.size() - kNamed);
    return text;
  };
  Lines out;
  const auto add = [&](const std::string& text, const Style& style) {
    for (Line& part :
         wrap(Line(text, style), {.width = options.width, .first = Line("  "), .others = Line("    ")}))
      out.push_back(std::move(part));
  };
  if (!files.moved.empty())
    add(fmt::format("{} file{}: {}", files.moved.size(), files.moved.size() == 1 ? "" : "s",
                    names(files.moved)),
        kDim);
  if (!files.left.empty())
    add("Left as they are, because they were changed since or not kept: " + names(files.left),
        coloured(Colour::kYellow));
  return out;
}

}  // namespace atelier::agent::tui
