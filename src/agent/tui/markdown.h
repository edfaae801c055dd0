// Markdown as styled lines, also while it is still being written.
#pragma once

#include <string>
#include <string_view>

#include "agent/tui/highlight.h"
#include "agent/tui/styled.h"

namespace atelier::agent::tui {

struct MarkdownOptions {
  size_t width = 80;
  bool unicode = true;
};

// A whole text (CommonMark with tables, task lists and strike-through).
Lines markdown(std::string_view text, const MarkdownOptions& options);

// A text that grows. Blocks that can no longer change are handed out once; what is still open is shown as it
// would look if it ended here.
class MarkdownStream {
 public:
  explicit MarkdownStream(MarkdownOptions options) : options_(options) {}
  void set_width(size_t width) { options_.width = width; }

  // Lines that are final now.
  Lines push(std::string_view text);
  // The open rest.
  Lines pending() const;
  // The rest, final; begins anew.
  Lines finish();

 private:
  size_t settled() const;
  Lines settle(size_t end);
  Lines code_lines(std::string_view text, Highlighter& highlighter) const;

  MarkdownOptions options_;
  std::string open_;   // not handed out yet
  bool any_ = false;   // something was: blocks are set apart by an empty line
  std::string fence_;  // of the code block that open_ is inside of
  Highlighter code_{nullptr};
};

}  // namespace atelier::agent::tui
