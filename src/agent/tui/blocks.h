// How what an agent does looks once it is over: blocks for the scrollback.
#pragma once

#include <chrono>
#include <string>

#include "agent/harness/events.h"
#include "agent/session/move_files.h"
#include "agent/tui/styled.h"

namespace atelier::agent::tui {

struct BlockOptions {
  size_t width = 80;
  bool unicode = true;
  size_t max_output_lines = 12;  // of a command; beginning and end are shown
  size_t max_diff_lines = 60;
};

// "› text", the way a message was typed.
Lines message_block(std::string_view text, const BlockOptions& options);
// Everything but messages and reasoning. `seconds`: how long it took, if that is worth saying.
Lines item_block(const Item& item, double seconds, const BlockOptions& options);
// While it runs: its title and the end of its output.
Lines running_block(const Item& item, std::string_view output, const BlockOptions& options);
// Folded, one line that says how long; else the whole text, dimmed.
Lines reasoning_block(std::string_view text, double seconds, bool folded, const BlockOptions& options);
// What is asked, and with it what would be done.
Lines approval_block(const ApprovalRequest& request, const BlockOptions& options);
Lines plan_lines(const std::vector<PlanStep>& plan, const BlockOptions& options);
// "2 files: src/a.cpp, b.txt"; then those that were left alone.
Lines moved_lines(const MovedFiles& files, const BlockOptions& options);

// "0.4 s", "12 s", "3 min 05 s".
std::string duration_text(double seconds);
// "950", "12.3k".
std::string count_text(size_t n);

}  // namespace atelier::agent::tui
