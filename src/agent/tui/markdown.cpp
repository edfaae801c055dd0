#include "agent/tui/markdown.h"

#include <fmt/format.h>
#include <md4c.h>

#include <algorithm>
#include <array>
#include <utility>

namespace atelier::agent::tui {
namespace {

constexpr Style kCodeStyle{.colour = Colour::kCyan};
constexpr Style kLinkStyle{.colour = Colour::kBlue, .underline = true};
constexpr size_t kMaxTableColumns = 16;

// Receives md4c's events and lays lines out.
class MarkdownLayout {
 public:
  explicit MarkdownLayout(const MarkdownOptions& options) : options_(options) {}

  Lines run(std::string_view text) {
    MD_PARSER parser{};
    parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS | MD_FLAG_NOHTML |
                   MD_FLAG_PERMISSIVEURLAUTOLINKS;
    parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
      static_cast<MarkdownLayout*>(self)->enter(type, detail);
      return 0;
    };
    parser.leave_block = [](MD_BLOCKTYPE type, void*, void* self) {
      static_cast<MarkdownLayout*>(self)->leave(type);
      return 0;
    };
    parser.enter_span = [](MD_SPANTYPE type, void* detail, void* self) {
      static_cast<MarkdownLayout*>(self)->span(type, detail, true);
      return 0;
    };
    parser.leave_span = [](MD_SPANTYPE type, void* detail, void* self) {
      static_cast<MarkdownLayout*>(self)->span(type, detail, false);
      return 0;
    };
    parser.text = [](MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* self) {
      static_cast<MarkdownLayout*>(self)->text(type, {text, size});
      return 0;
    };
    ::md_parse(text.data(), static_cast<MD_SIZE>(text.size()), &parser, this);
    return std::move(out_);
  }

 private:
  // What lines inside of a quote or a list item begin with.
  struct Indent {
    Line first, others;
    bool used = false;  // `first` was
  };
  struct List {
    bool ordered = false, tight = false;
    unsigned number = 0;
  };

  void enter(MD_BLOCKTYPE type, void* detail) {
    switch (type) {
      case MD_BLOCK_QUOTE: {
        const Line bar(options_.unicode ? "▎ " : "> ", kDim);
        gap();
        indents_.push_back({bar, bar, false});
        break;
      }
      case MD_BLOCK_UL:
        gap();
        lists_.push_back({false, static_cast<MD_BLOCK_UL_DETAIL*>(detail)->is_tight != 0, 0});
        break;
      case MD_BLOCK_OL: {
        const auto* list = static_cast<MD_BLOCK_OL_DETAIL*>(detail);
        gap();
        lists_.push_back({true, list->is_tight != 0, list->start});
        break;
      }
      case MD_BLOCK_LI:
        item(*static_cast<MD_BLOCK_LI_DETAIL*>(detail));
        break;
      case MD_BLOCK_H:
        gap();
        style_.bold = true;
        style_.underline = static_cast<MD_BLOCK_H_DETAIL*>(detail)->level == 1;
        break;
      case MD_BLOCK_P:
        gap();
        break;
      case MD_BLOCK_CODE: {
        gap();
        const MD_ATTRIBUTE& name = static_cast<MD_BLOCK_CODE_DETAIL*>(detail)->lang;
        highlighter_ = Highlighter(language_named({name.text == nullptr ? "" : name.text, name.size}));
        in_code_ = true;
        break;
      }
      case MD_BLOCK_HR: {
        gap();
        std::string rule;
        for (size_t i = 0; i < std::min<size_t>(options_.width, 40); ++i)
          rule += options_.unicode ? "─" : "-";
        put(Line(rule, kDim));
        break;
      }
      case MD_BLOCK_TABLE:
        gap();
        rows_.clear();
        break;
      case MD_BLOCK_TR:
        rows_.emplace_back();
        break;
      case MD_BLOCK_TH:
        style_.bold = true;
        break;
      default:
        break;
    }
  }

  void leave(MD_BLOCKTYPE type) {
    switch (type) {
      case MD_BLOCK_QUOTE:
        indents_.pop_back();
        break;
      case MD_BLOCK_UL:
      case MD_BLOCK_OL:
        lists_.pop_back();
        break;
      case MD_BLOCK_LI:
        flush();  // of a tight list: its text stands in no paragraph
        if (!indents_.back().used) put(Line());
        indents_.pop_back();
        break;
      case MD_BLOCK_H:
        flush();
        style_ = {};
        break;
      case MD_BLOCK_P:
        flush();
        break;
      case MD_BLOCK_CODE:
        if (!code_.empty()) code_line();
        in_code_ = false;
        break;
      case MD_BLOCK_TH:
      case MD_BLOCK_TD:
        if (!rows_.empty() && rows_.back().size() < kMaxTableColumns)
          rows_.back().push_back(std::exchange(line_, {}));
        line_ = {};
        style_ = {};
        break;
      case MD_BLOCK_TABLE:
        table();
        break;
      default:
        break;
    }
  }

  void span(MD_SPANTYPE type, void* detail, bool begins) {
    switch (type) {
      case MD_SPAN_EM:
        style_.italic = begins;
        break;
      case MD_SPAN_STRONG:
        style_.bold = begins;
        break;
      case MD_SPAN_DEL:
        style_.strike = begins;
        break;
      case MD_SPAN_CODE:
        in_code_span_ = begins;
        break;
      case MD_SPAN_A:
        link(static_cast<MD_SPAN_A_DETAIL*>(detail)->href, begins);
        break;
      case MD_SPAN_IMG:
        link(static_cast<MD_SPAN_IMG_DETAIL*>(detail)->src, begins);
        break;
      default:
        break;
    }
  }

  // The target stands after the text: there is nothing to click on, and nothing is hidden.
  void link(const MD_ATTRIBUTE& target, bool begins) {
    in_link_ = begins;
    if (begins) {
      link_begin_ = line_.text().size();
      return;
    }
    const std::string href(target.text == nullptr ? "" : target.text, target.size);
    const std::string shown = line_.text();
    if (link_begin_ <= shown.size() && shown.substr(link_begin_) != href && !href.empty() && href[0] != '#')
      line_.add(" (" + printable(href) + ")", kDim);
  }

  void text(MD_TEXTTYPE type, std::string_view text) {
    if (in_code_) {
      for (const char c : text) {
        if (c == '\n') {
          code_line();
        } else {
          code_ += c;
        }
      }
      return;
    }
    if (type == MD_TEXT_BR) {
      flush();
      return;
    }
    if (type == MD_TEXT_SOFTBR) text = " ";
    if (type == MD_TEXT_NULLCHAR) text = "\xef\xbf\xbd";
    Style style = in_code_span_ ? kCodeStyle : in_link_ ? kLinkStyle : style_;
    line_.add(type == MD_TEXT_ENTITY ? entity(text) : printable(text), style);
  }

  static std::string entity(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNamed = {
        {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&nbsp;", " "}}};
    for (const auto& [name, character] : kNamed)
      if (text == name) return std::string(character);
    return printable(text);
  }

  void item(const MD_BLOCK_LI_DETAIL& detail) {
    List& list = lists_.back();
    if (!list.tight && items_ > 0) gap();
    ++items_;
    std::string mark = list.ordered ? fmt::format("{}. ", list.number++) : options_.unicode ? "• " : "- ";
    if (detail.is_task != 0) {
      const bool done = detail.task_mark != ' ';
      mark = options_.unicode ? (done ? "☑ " : "☐ ") : (done ? "[x] " : "[ ] ");
    }
    Line first(lists_.size() > 1 ? "" : "");
    first.add(mark, coloured(Colour::kBlue));
    indents_.push_back({first, Line(std::string(width_of(mark), ' ')), false});
    fresh_item_ = true;
  }

  // An empty line before a block, except before the first and inside of an item that has just begun.
  void gap() {
    flush();
    const bool tight = !lists_.empty() && lists_.back().tight;
    if (!out_.empty() && !fresh_item_ && !tight &&
        !(out_.back().text().find_first_not_of(" ▎>") == std::string::npos))
      put(Line(), /*text=*/false);
    fresh_item_ = false;
  }

  Line prefix() {
    Line all;
    for (Indent& indent : indents_) {
      all.add(indent.used ? indent.others : indent.first);
      indent.used = true;
    }
    return all;
  }
  Line continued() const {
    Line all;
    for (const Indent& indent : indents_) all.add(indent.others);
    return all;
  }

  void put(const Line& line, bool text = true) {
    const Line first = text ? prefix() : continued();
    for (Line& part : wrap(line, {.width = options_.width, .first = first, .others = continued()}))
      out_.push_back(std::move(part));
  }
  void flush() {
    if (line_.empty()) return;
    put(std::exchange(line_, {}));
    fresh_item_ = false;
  }

  void code_line() {
    const Line first = prefix().add("  "), others = continued().add("  ");
    for (Line& part : wrap(highlighter_.line(printable(std::exchange(code_, {}))),
                           {.width = options_.width, .first = first, .others = others, .words = false}))
      out_.push_back(std::move(part));
    fresh_item_ = false;
  }

  void table() {
    std::vector<size_t> widths;
    for (const auto& row : rows_)
      for (size_t i = 0; i < row.size(); ++i) {
        if (i == widths.size()) widths.push_back(0);
        widths[i] = std::max(widths[i], width_of(row[i]));
      }
    if (widths.empty()) return;
    // Wide columns share what the narrow ones leave.
    const size_t gaps = 3 * (widths.size() - 1), indent = width_of(continued());
    const size_t room = options_.width > gaps + indent ? options_.width - gaps - indent : widths.size();
    for (size_t total = 0;;) {
      total = 0;
      for (const size_t width : widths) total += width;
      if (total <= room) break;
      size_t& widest = *std::ranges::max_element(widths);
      if (widest <= 4) break;
      --widest;
    }
    for (size_t r = 0; r < rows_.size(); ++r) {
      table_row(rows_[r], widths);
      if (r > 0) continue;
      Line rule;
      for (size_t i = 0; i < widths.size(); ++i) {
        std::string part = i == 0 ? "" : options_.unicode ? "─┼─" : "-+-";
        for (size_t n = 0; n < widths[i]; ++n) part += options_.unicode ? "─" : "-";
        rule.add(part, kDim);
      }
      out_.push_back(continued().add(rule));
    }
  }

  void table_row(const std::vector<Line>& row, const std::vector<size_t>& widths) {
    std::vector<Lines> cells;
    size_t height = 1;
    for (size_t i = 0; i < widths.size(); ++i) {
      cells.push_back(wrap(i < row.size() ? row[i] : Line(),
                           {.width = std::max<size_t>(1, widths[i]), .first = {}, .others = {}}));
      height = std::max(height, cells.back().size());
    }
    for (size_t y = 0; y < height; ++y) {
      Line line = prefix();
      for (size_t i = 0; i < widths.size(); ++i) {
        if (i > 0) line.add(options_.unicode ? " │ " : " | ", kDim);
        const Line cell = y < cells[i].size() ? cells[i][y] : Line();
        line.add(cell);
        if (i + 1 < widths.size())
          line.add(std::string(widths[i] - std::min(widths[i], width_of(cell)), ' '));
      }
      out_.push_back(std::move(line));
    }
  }

  const MarkdownOptions& options_;
  Lines out_;
  Line line_;
  Style style_;
  bool in_code_ = false, in_code_span_ = false, in_link_ = false, fresh_item_ = false;
  size_t link_begin_ = 0, items_ = 0;
  std::string code_;
  Highlighter highlighter_{nullptr};
  std::vector<Indent> indents_;
  std::vector<List> lists_;
  std::vector<std::vector<Line>> rows_;
};

// "```" or "~~~", and what follows it, if `line` begins a fenced block without indentation.
std::string_view fence_of(std::string_view line) {
  const size_t n = std::min(line.find_first_not_of(line.empty() ? ' ' : line[0]), line.size());
  return n >= 3 && (line[0] == '`' || line[0] == '~') ? line.substr(0, n) : std::string_view();
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

Lines markdown(std::string_view text, const MarkdownOptions& options) {
  return MarkdownLayout(options).run(text);
}

// How much of open_ is made of blocks that are over: up to an empty line that an unindented one follows.
size_t MarkdownStream::settled() const {
  size_t end = 0;
  bool after_blank = false;
  std::string_view fence;
  for (size_t at = 0; at < open_.size();) {
    const size_t stop = open_.find('\n', at);
    if (stop == std::string::npos) {
      // The last line has begun: what it begins with decides.
      const bool begins = after_blank && fence.empty() && open_[at] != ' ' && open_[at] != '\t';
      return begins ? at : end;
    }
    const std::string_view line = std::string_view(open_).substr(at, stop - at);
    if (!fence.empty()) {
      if (line.starts_with(fence) && is_blank(line.substr(fence_of(line).size()))) fence = {};
    } else if (is_blank(line)) {
      after_blank = true;
      at = stop + 1;
      continue;
    } else {
      const bool indented = line[0] == ' ' || line[0] == '\t';
      if (after_blank && !indented) end = at;
      fence = fence_of(line);
    }
    after_blank = false;
    at = stop + 1;
  }
  return end;
}

Lines MarkdownStream::settle(size_t end) {
  Lines out;
  const std::string text = open_.substr(0, end);
  open_.erase(0, end);
  Lines lines = markdown(text, options_);
  if (lines.empty()) return out;
  if (any_) out.emplace_back();
  any_ = true;
  out.insert(out.end(), lines.begin(), lines.end());
  return out;
}

Lines MarkdownStream::code_lines(std::string_view text, Highlighter& highlighter) const {
  Lines out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    for (Line& part :
         wrap(highlighter.line(printable(text.substr(at, end - at))),
              {.width = options_.width, .first = Line("  "), .others = Line("  "), .words = false}))
      out.push_back(std::move(part));
    at = end + 1;
  }
  return out;
}

Lines MarkdownStream::push(std::string_view text) {
  open_ += text;
  Lines out;
  const auto add = [&out](Lines lines) { out.insert(out.end(), lines.begin(), lines.end()); };
  for (;;) {
    if (fence_.empty()) {
      if (const size_t end = settled(); end > 0) add(settle(end));
      // A block of code is handed out line by line: it may be longer than the screen.
      const size_t line_end = open_.find('\n');
      const std::string_view line = std::string_view(open_).substr(0, line_end);
      const std::string_view fence = line_end == std::string::npos ? std::string_view() : fence_of(line);
      if (fence.empty()) return out;
      code_ = Highlighter(language_named(line.substr(fence.size())));
      fence_ = fence;
      open_.erase(0, line_end + 1);
      if (any_) out.emplace_back();
      any_ = true;
    }
    size_t begin = 0;
    bool closed = false;
    for (size_t end = open_.find('\n'); !closed && end != std::string::npos; end = open_.find('\n', begin)) {
      const std::string_view line = std::string_view(open_).substr(begin, end - begin);
      closed = line.starts_with(fence_) && is_blank(line.substr(fence_of(line).size()));
      if (!closed) add(line.empty() ? Lines{Line("  ")} : code_lines(line, code_));
      begin = end + 1;
    }
    open_.erase(0, begin);
    if (!closed) return out;
    fence_.clear();
  }
}

Lines MarkdownStream::pending() const {
  if (open_.empty()) return {};
  if (!fence_.empty()) {
    Highlighter copy = code_;
    return std::string_view(fence_).starts_with(open_) ? Lines() : code_lines(open_, copy);
  }
  Lines lines = markdown(open_, options_);
  if (any_ && !lines.empty()) lines.insert(lines.begin(), Line());
  return lines;
}

Lines MarkdownStream::finish() {
  Lines out = pending();
  *this = MarkdownStream(options_);
  return out;
}

}  // namespace atelier::agent::tui
