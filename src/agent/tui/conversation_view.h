// What a task looks like while it runs: news go in, lines for the scrollback and for the live region come
// out.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/tui/blocks.h"
#include "agent/tui/markdown.h"
#include "agent/tui/worker.h"

namespace atelier::agent::tui {

class ConversationView {
 public:
  using Clock = std::chrono::steady_clock;
  explicit ConversationView(BlockOptions options)
      : options_(options), answer_({.width = options.width, .unicode = options.unicode}) {}
  void set_width(size_t width);

  // Each returns what is final now: lines to be printed, empty ones between blocks included.
  Lines block(Lines lines);  // something of the caller's
  Lines show(const ItemNews& news, Clock::time_point now);
  void show(const CallNews& news);
  // Nothing goes on any more: the rest of what was open.
  Lines end();
  // Messages of a session taken up again: the last few tasks.
  Lines history(const std::vector<chat::Message>& messages);

  // Of what is going on now, at most `rows`.
  Lines live(size_t rows) const;
  const std::vector<PlanStep>& plan() const { return plan_; }

  bool folds_reasoning() const { return fold_; }
  // Whether reasoning is shown from now on; what was folded last, if it is to be shown after all.
  Lines toggle_reasoning();

 private:
  Lines finish_item(const ItemNews& news, Clock::time_point now);

  BlockOptions options_;
  MarkdownStream answer_;
  bool any_ = false;           // something stands above: blocks are set apart
  bool answer_begun_ = false;  // lines of the present answer were handed out
  bool fold_ = true;
  std::string reasoning_, last_reasoning_;  // going on, and over
  double last_reasoning_seconds_ = 0;
  std::optional<Item> running_;
  std::string output_;  // of running_, so far
  std::string call_;    // the tool whose call is being written
  size_t call_bytes_ = 0;
  Clock::time_point begun_{};
  std::vector<PlanStep> plan_;
};

}  // namespace atelier::agent::tui
